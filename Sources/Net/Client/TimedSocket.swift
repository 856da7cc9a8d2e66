import Base
import Glibc

/// A connection for whoever may wait, but not for long: one moment by which all of it is over. Before each call poll(2)
/// waits for what is left until then. A limit for each call alone would be none: a peer that sends a byte now and then
/// keeps within it for ever.
public final class TimedSocket {
    public enum Failure: Error, Equatable, CustomStringConvertible {
        /// The deadline has passed.
        case late
        case failed(call: String, code: Int32)

        public var description: String {
            switch self {
            case .late: "no answer in time"
            case .failed(let call, let code): SystemError(call, code).description
            }
        }
    }

    public enum Direction { case reading, writing }

    public let fd: Int32
    private let deadline: UInt64

    /// Connects.
    /// - Parameters:
    ///   - deadline: for all that is ever done with it.
    ///   - connected: by when it must be connected.
    public init(_ address: SocketAddress, connected: UInt64, deadline: UInt64) throws(Failure) {
        do throws(SystemError) { fd = try Socket.connect(address) } catch {
            throw .failed(call: error.call, code: error.code)
        }
        self.deadline = deadline
        // What fails from here on closes it: all of this object is there.
        try Self.wait(fd, POLLOUT, until: min(connected, deadline))
        let error = Socket.error(fd)
        if error != 0 { throw .failed(call: "connect", code: error) }
    }

    deinit { close(fd) }

    /// Until there is something to read, an end or an error too, or room to write.
    public func wait(for direction: Direction) throws(Failure) {
        try Self.wait(fd, direction == .reading ? POLLIN : POLLOUT, until: deadline)
    }

    private static func wait(_ fd: Int32, _ events: Int32, until deadline: UInt64) throws(Failure) {
        while true {
            // Whoever always has something to say is late, too.
            let left = Clock.milliseconds(until: deadline)
            if left == 0 { throw .late }
            var asked = pollfd(fd: fd, events: Int16(events), revents: 0)
            let count = poll(&asked, 1, left)
            if count > 0 { return }
            if count == 0 { throw .late }
            if errno != EINTR { throw .failed(call: "poll", code: errno) }
        }
    }

    /// Sends all of it.
    public func send(_ bytes: [UInt8]) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            try wait(for: .writing)
            let count = bytes.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL)) }
            if count >= 0 { sent += count } else { try check("send") }
        }
    }

    /// Some bytes into `room`, at least one; zero is the end.
    public func receive(into room: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        while true {
            try wait(for: .reading)
            let count = recv(fd, room.baseAddress, room.count, 0)
            if count >= 0 { return count }
            try check("recv")
        }
    }

    /// After a call that has failed: returns where it may be made again.
    private func check(_ call: String) throws(Failure) {
        if errno != EAGAIN, errno != EINTR { throw .failed(call: call, code: errno) }
    }
}
