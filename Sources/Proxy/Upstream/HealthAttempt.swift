import Base
import Glibc
import HTTP
import Net

/// One question: `GET path`, and any 2xx or 3xx is a yes. It reads no further than the status, in small pieces, and not
/// more of them than a status takes: whatever the server sends, it holds nobody up.
final class HealthAttempt: Source {
    private static let fieldsMax = 200

    private let host: String
    private let path: String
    private let done: (String?) -> Void
    private var isSent = false
    private var input: [UInt8] = []
    private var head = ResponseHead(maxFields: HealthAttempt.fieldsMax)
    private var scanned = 0
    private var received = 0
    private var interim = 0

    /// - Parameter done: called once, with nil for a yes.
    init(loop: EventLoop, flow: Flow, fd: Int32, host: String, path: String, done: @escaping (String?) -> Void) {
        (self.host, self.path, self.done) = (host, path, done)
        super.init(loop: loop, fd: fd, flow: flow)
    }

    func end() { loop.close(self) }

    private func finish(_ failure: String?) {
        if isClosed { return }
        end()
        done(failure)
    }

    override func expired() { finish("no answer in time") }

    override func ready(_ events: Readiness) {
        if !isSent {
            let error = Socket.error(fd)
            if error != 0 { return finish(String(cString: strerror(error))) }
            guard events.contains(.writable) else { return }
            isSent = true
            // A new connection's buffer has room for the longest path that there may be.
            let request = "GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUser-Agent: gateway-health\r\nConnection: close\r\n\r\n"
            guard send(fd, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else {
                return finish("it does not take the request")
            }
        }
        receive()
    }

    /// One piece; the next one has another turn.
    private func receive() {
        let count = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { room in
            let count = recv(fd, room.baseAddress, room.count, 0)
            if count > 0 { input.append(contentsOf: room[..<count]) }
            return count
        }
        if count < 0 {
            if errno == EAGAIN || errno == EINTR { return }
            return finish(String(cString: strerror(errno)))
        }
        if count == 0 { return finish("closed without an answer") }
        received += count
        judge()
        if !isClosed { loop.wake(self, .readable) }
    }

    private func judge() {
        while !isClosed {
            let outcome = input.withUnsafeBytes { bytes in
                head.parse(
                    bytes, from: &scanned, requestMethod: .get,
                    limits: ParseLimits(maxHeadSize: Limits.healthAnswerMax, maxFields: Self.fieldsMax))
            }
            switch outcome {
            case .incomplete:
                if received >= Limits.healthAnswerMax { finish("its answer has no end") }
                return
            case .refused: return finish("its answer is not valid HTTP")
            case .complete where head.isInterim:
                // What is said before the answer (RFC 9110 section 15.2) is neither a yes nor a no.
                interim += 1
                if interim > Limits.interimResponsesMax { return finish("too many interim answers") }
                input.removeSubrange(..<head.length)
                scanned = 0
            case .complete:
                return finish((200..<400).contains(head.status) ? nil : "it answers \(head.status)")
            }
        }
    }
}
