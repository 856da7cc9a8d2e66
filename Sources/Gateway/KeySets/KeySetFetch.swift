import Base
import Crypto
import Glibc
import HTTP
import Net
import Tenancy

/// Gets a key set by https, on a thread that may wait. No redirects: keys come from where the configuration says.
enum KeySetFetch {
    struct Answer: Sendable {
        var json: [UInt8]
        /// Seconds for which the server lets it be kept; nil where it does not say.
        var maxAge: UInt64?
    }

    struct Failure: Error, Sendable, CustomStringConvertible { var description: String }

    /// Seconds for each wait.
    private static let patience = 5
    /// Seconds for the whole of it.
    private static let deadline: UInt64 = 20

    static func get(_ url: String) throws(Failure) -> Answer {
        guard let address = KeySetAddress(url) else { throw Failure(description: "not an address") }
        let addresses: [SocketAddress]
        let found = Resolver().addresses(of: address.host, port: address.port, until: Clock.monotonic() + deadline * 1_000_000_000)
        switch found {
        case .addresses(let found): addresses = found
        case .failed(let reason): throw Failure(description: "\(address.host) is not found: \(reason)")
        }
        var last = Failure(description: "no address")
        let end = Clock.monotonic() + deadline * 1_000_000_000
        for candidate in addresses.prefix(4) where Clock.monotonic() < end {
            do throws(Failure) { return try get(address, at: candidate, until: end) } catch { last = error }
        }
        throw last
    }

    private static func get(
        _ address: KeySetAddress, at candidate: SocketAddress, until end: UInt64
    ) throws(Failure) -> Answer {
        let fd: Int32
        do { fd = try Socket.connectAndWait(candidate, seconds: patience) } catch {
            throw Failure(description: "\(candidate): \(error)")
        }
        defer { close(fd) }
        var limit = timeval(tv_sec: patience, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let isAddress = SocketAddress(address.host, port: 0) != nil
        let tls: TLSClient
        do { tls = try TLSClient(fd, host: address.host, isAddress: isAddress) } catch {
            throw Failure(description: "\(candidate): \(error)")
        }
        let request =
            "GET \(address.target) HTTP/1.1\r\nHost: \(address.authority)\r\n"
            + "Accept: application/jwk-set+json, application/json\r\nUser-Agent: gateway\r\nConnection: close\r\n\r\n"
        guard tls.write(Array(request.utf8)) else { throw Failure(description: "the connection broke") }
        return try read(tls, until: end)
    }

    private static func read(_ tls: TLSClient, until end: UInt64) throws(Failure) -> Answer {
        var received: [UInt8] = []
        var head = ResponseHead(maxFields: 100)
        var scanned = 0
        var hasHead = false
        var hasEnded = false
        let limits = ParseLimits(maxHeadSize: Limits.headSizeMax, maxFields: 100)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
        defer { room.deallocate() }
        while true {
            if hasHead, let body = try body(of: head, in: received, hasEnded: hasEnded) {
                return Answer(json: body, maxAge: received.withUnsafeBytes { maxAge(head, $0) })
            }
            guard !hasEnded else { throw Failure(description: "the answer was cut short") }
            guard received.count <= KeySet.sizeMax + Limits.headSizeMax else {
                throw Failure(description: "the answer is too large")
            }
            guard Clock.monotonic() < end else { throw Failure(description: "the answer takes too long") }
            switch tls.read(into: room) {
            case .bytes(let count): received += UnsafeRawBufferPointer(rebasing: room[..<count])
            case .end: hasEnded = true
            case .failed: throw Failure(description: "the connection broke or was silent for \(patience) s")
            }
            if hasHead { continue }
            let outcome = received.withUnsafeBytes {
                head.parse($0, from: &scanned, requestMethod: .get, limits: limits)
            }
            switch outcome {
            case .incomplete: break
            case .refused(let fault): throw Failure(description: "not a valid answer: \(fault.reason)")
            case .complete:
                guard head.status == 200 else { throw Failure(description: "the server answered \(head.status)") }
                hasHead = true
            }
        }
    }

    /// The whole body; nil while it is not there yet.
    private static func body(
        of head: borrowing ResponseHead, in received: [UInt8], hasEnded: Bool
    ) throws(Failure) -> [UInt8]? {
        var body = Array(received[head.length...])
        switch head.framing {
        case .none: return []
        case .length(let length):
            guard length <= UInt64(KeySet.sizeMax) else { throw Failure(description: "the answer is too large") }
            return body.count >= Int(length) ? Array(body.prefix(Int(length))) : nil
        case .untilClose: return hasEnded ? body : nil
        case .chunked:
            var decoder = ChunkedDecoder(of: .response)
            let step = body.withUnsafeMutableBytes { decoder.decode($0) }
            switch step.state {
            case .more: return nil
            case .complete: return Array(body.prefix(step.produced))
            case .refused(let fault): throw Failure(description: "not a valid answer: \(fault.reason)")
            }
        }
    }

    /// `max-age` of `Cache-Control` (RFC 9111 section 5.2.2.1); zero where it says that nothing may be kept.
    private static func maxAge(_ head: borrowing ResponseHead, _ bytes: UnsafeRawBufferPointer) -> UInt64? {
        guard let field = head.fields.first(.cacheControl) else { return nil }
        let text = String(decoding: bytes[field.value], as: UTF8.self).asciiLowercased
        for directive in text.split(separator: ",") {
            let words = directive.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " && $0 != "\"" } }
            if words.first == "no-store" || words.first == "no-cache" { return 0 }
            if words.count == 2, words[0] == "max-age" {
                let digits = Array(words[1].utf8)
                return digits.withUnsafeBytes { ASCII.decimal($0) }
            }
        }
        return nil
    }
}
