import Crypto
import Net

/// A connection to whoever is asked, plain or by TLS, that is over by its deadline.
final class InquiryConnection {
    private let socket: TimedSocket
    private let tls: TLSClient?

    /// Connects, and shakes hands where `host` has to prove its name.
    init(_ socket: TimedSocket, secureTo host: String?) throws(InquiryFailure) {
        self.socket = socket
        guard let host else {
            tls = nil
            return
        }
        do throws(OpenSSLError) {
            tls = try TLSClient(socket.fd, host: host, isAddress: SocketAddress(host, port: 0) != nil)
        } catch { throw .unsafe(error.description) }
        try untilDone { tls throws(OpenSSLError) in try tls.shakeHands() }
    }

    /// Makes a TLS call again and again, as long as it needs something.
    private func untilDone(_ call: (TLSClient) throws(OpenSSLError) -> TLSClient.Need?) throws(InquiryFailure) {
        guard let tls else { return }
        while true {
            let need: TLSClient.Need?
            do throws(OpenSSLError) { need = try call(tls) } catch { throw .unsafe(error.description) }
            guard let need else { return }
            try wait(for: need)
        }
    }

    private func wait(for need: TLSClient.Need) throws(InquiryFailure) {
        do throws(TimedSocket.Failure) {
            try socket.wait(for: need == .reading ? .reading : .writing)
        } catch { throw .connection(error) }
    }

    func send(_ bytes: [UInt8]) throws(InquiryFailure) {
        if tls != nil { return try untilDone { tls throws(OpenSSLError) in try tls.write(bytes) } }
        do throws(TimedSocket.Failure) { try socket.send(bytes) } catch { throw .connection(error) }
    }

    /// Some bytes into `room`; nil at the end.
    func receive(into room: UnsafeMutableRawBufferPointer) throws(InquiryFailure) -> Int? {
        guard let tls else {
            do throws(TimedSocket.Failure) {
                let count = try socket.receive(into: room)
                return count > 0 ? count : nil
            } catch { throw .connection(error) }
        }
        while true {
            let read: TLSClient.Read
            do throws(OpenSSLError) { read = try tls.read(into: room) } catch { throw .unsafe(error.description) }
            switch read {
            case .bytes(let count): return count
            case .end: return nil
            case .needs(let need): try wait(for: need)
            }
        }
    }
}
