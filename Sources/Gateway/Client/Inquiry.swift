import Base
import Net

/// A question of the gateway's own to a server, for commands and for threads that may wait. One moment bounds all of it:
/// the look-up of the name, every try to connect, the handshake, the request and its answer. No redirects: an answer comes
/// from where the configuration says.
struct Inquiry {
    struct Answer: Sendable {
        var status: Int
        var cacheControl: String?
        var body: [UInt8]
    }

    var method = "GET"
    /// A name, or an address without brackets.
    var host: String
    var port: UInt16
    /// As `Host` says it (RFC 9110 section 7.2): an IPv6 address in brackets, the port where it is not the scheme's own.
    var authority: String
    /// Whether the server must prove its name by TLS.
    var isSecure: Bool
    /// Path and query.
    var target: String
    /// Each with its line end.
    var fields: [UInt8] = []
    /// Bytes of the answer's body.
    var bodyMax: Int

    /// More addresses of one name are not tried.
    private static let addressesMax = 4

    func answer(by deadline: UInt64, with resolver: Resolver) throws(InquiryFailure) -> Answer {
        let addresses: [SocketAddress]
        switch resolver.addresses(of: host, port: port, until: deadline) {
        case .addresses(let found): addresses = Array(found.prefix(Self.addressesMax))
        case .failed(let reason): throw .notFound(host, reason)
        }
        return try ask(try connect(to: addresses, by: deadline))
    }

    /// The first address that answers. Each has its share of the time: one that swallows everything leaves some to others.
    private func connect(to addresses: [SocketAddress], by deadline: UInt64) throws(InquiryFailure) -> InquiryConnection {
        var failure = InquiryFailure.notFound(host, "no address")
        for (index, address) in addresses.enumerated() {
            let now = Clock.monotonic()
            let share = (deadline - min(now, deadline)) / UInt64(addresses.count - index)
            do throws(InquiryFailure) {
                let socket: TimedSocket
                do throws(TimedSocket.Failure) {
                    socket = try TimedSocket(address, connected: now + share, deadline: deadline)
                } catch { throw .connection(error) }
                return try InquiryConnection(socket, secureTo: isSecure ? host : nil)
            } catch { failure = .at(address, error) }
        }
        throw failure
    }

    private func ask(_ connection: InquiryConnection) throws(InquiryFailure) -> Answer {
        let length = method == "GET" ? "" : "Content-Length: 0\r\n"
        let head = "\(method) \(target) HTTP/1.1\r\nHost: \(authority)\r\nUser-Agent: gateway\r\nConnection: close\r\n\(length)"
        try connection.send(Array(head.utf8) + fields + Array("\r\n".utf8))
        var reader = AnswerReader(bodyMax: bodyMax)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { room.deallocate() }
        while let count = try connection.receive(into: room) {
            if let answer = try reader.take(UnsafeMutableRawBufferPointer(rebasing: room[..<count])) { return answer }
        }
        return try reader.end()
    }
}

/// Why there is no answer.
indirect enum InquiryFailure: Error, CustomStringConvertible {
    case notFound(_ host: String, _ reason: String)
    case connection(TimedSocket.Failure)
    /// Of TLS.
    case unsafe(String)
    case at(SocketAddress, InquiryFailure)
    case malformed(String)
    case tooLarge
    case cutShort

    var description: String {
        switch self {
        case .notFound(let host, let reason): "\(host) is not found: \(reason)"
        case .connection(let failure): failure.description
        case .unsafe(let reason): reason
        case .at(let address, let failure): "\(address): \(failure)"
        case .malformed(let reason): "not a valid answer: \(reason)"
        case .tooLarge: "the answer is too large"
        case .cutShort: "the answer was cut short"
        }
    }
}
