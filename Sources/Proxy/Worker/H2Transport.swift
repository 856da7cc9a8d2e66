import Base
import HTTP
import Net

/// A connection that speaks HTTP/2, whichever end of it this is: frames to be sent collect in `connection`, and leave together.
class H2Transport: Transport {
    final var connection: H2Connection

    init(worker: Worker, fd: Int32, flow: Flow, _ connection: consuming H2Connection) {
        self.connection = connection
        super.init(worker: worker, fd: fd, flow: flow)
    }

    /// Bytes that may collect before they have to leave.
    private static let outputMax = 256 << 10

    /// Bytes that a stream may send now.
    final func room(of stream: UInt32) -> Int {
        if isCongested || isBroken { return 0 }
        return min(connection.room(of: stream), max(0, Self.outputMax - connection.output.count))
    }

    /// Sends what has collected, in pieces of what the loop's room for TLS takes at once.
    final func sendOutput() {
        if connection.output.isEmpty { return }
        unsafe connection.output.withUnsafeBytes { bytes in
            var at = 0
            while at < bytes.count {
                let count = min(bytes.count - at, Limits.readSize)
                unsafe send(UnsafeRawBufferPointer(rebasing: bytes[at..<(at + count)]))
                at += count
            }
        }
        connection.clearOutput()
    }
}
