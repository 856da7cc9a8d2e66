import Base
import Glibc
import HTTP
import Net

/// One client of the admin listener. A turn is one read and at most one request, or one write.
///
///                  whole head             reply             all taken
///     reading ────────────────► handling ───────► answering ───────────► reading
///        │ refused                                    ▲  │ the last one
///        └────────────────────────────────────────────┘  └──► leaving ──► closed
///
/// Only `reading` takes from the socket what will be looked at: whoever does not take answers is asked nothing.
final class AdminConnection: Source {
    private enum Phase { case reading, handling, answering, leaving }

    private let server: AdminServer
    private var phase = Phase.reading
    private var input = AdminInput()
    /// Head and body of the answer: a long body is shared with all who get the same one, not copied.
    private var output: [[UInt8]] = []
    /// Of the first of them.
    private var sent = 0
    private var keepAlive = true
    private var isRetired = false
    /// When it last had an answer; nil while a request is under way.
    private(set) var silentSince: UInt64?
    /// Since when it has had a large answer that is not taken yet.
    private(set) var largeAnswerSince: UInt64?
    /// It had its last answer; what the client still sends is dropped.
    private(set) var isLeaving = false

    private static let readSize = 16 << 10
    /// Bodies up to here leave in one piece with their head.
    private static let joinedMax = 16 << 10

    init(server: AdminServer, fd: Int32, flow: Flow) {
        self.server = server
        super.init(loop: server.loop, fd: fd, flow: flow)
    }

    /// The first request, or the next one.
    func begin() {
        phase = .reading
        silentSince = loop.now
        loop.schedule(self, at: loop.now + Limits.adminNanoseconds)
        loop.wake(self, .readable)
    }

    /// There is no place for it.
    func refuse() {
        isLeaving = server.mayTakeLeave()
        answerLast(503, "too many connections", fields: [("Retry-After", "1")])
    }

    func end() {
        if isClosed { return }
        server.forget(self)
        loop.close(self)
    }

    /// No other request after the one that is under way.
    func retire() {
        keepAlive = false
        isRetired = true
        if phase == .reading { end() }
    }

    override func expired() { end() }

    override func ready(_ events: Readiness) {
        if !events.isDisjoint(with: [.hungUp, .failed]) { return end() }
        switch phase {
        case .reading: serve()
        case .handling: break
        case .answering: send()
        case .leaving: drop()
        }
    }

    // MARK: Requests

    private func serve() {
        var next = input.next()
        if case .needsMore = next {
            guard receive() else { return }
            next = input.next()
        }
        switch next {
        case .needsMore: loop.wake(self, .readable)
        case .refused(let status, let reason): answerLast(status, reason)
        case .request(let request, let keepAlive):
            self.keepAlive = keepAlive && !isRetired
            phase = .handling
            silentSince = nil
            // It takes as long as it takes: what answers has bounds of its own.
            loop.schedule(self, at: .max)
            server.handler(request) { [self] response in
                if !isClosed { answer(response.status, response.fields, response.body, length: response.contentLength) }
            }
        }
    }

    /// False when there is nothing at present, or nothing any more.
    private func receive() -> Bool {
        let size = min(input.room, Self.readSize)
        let count = withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { room in
            let count = recv(fd, room.baseAddress, size, 0)
            if count > 0 { input.add(UnsafeRawBufferPointer(rebasing: room[..<count])) }
            return count
        }
        if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { end() }
        return count > 0
    }

    // MARK: Answers

    private func answerLast(_ status: Int, _ reason: String, fields: [(name: String, value: String)] = []) {
        keepAlive = false
        answer(status, [("Content-Type", "text/plain; charset=utf-8")] + fields, Array("\(reason)\n".utf8), length: nil)
    }

    private func answer(_ status: Int, _ fields: [(name: String, value: String)], _ body: [UInt8], length: Int?) {
        var text = "HTTP/1.1 \(status) \(ReasonPhrase.of(status))\r\nContent-Length: \(length ?? body.count)\r\n"
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        if !keepAlive { text += "Connection: close\r\n" }
        let head = Array((text + "\r\n").utf8)
        if body.count > Limits.adminLargeAnswer {
            server.makeRoomForLargeAnswer()
            largeAnswerSince = loop.now
        }
        output = body.count <= Self.joinedMax ? [head + body] : [head, body]
        phase = .answering
        silentSince = nil
        loop.schedule(self, at: loop.now + Limits.adminNanoseconds)
        send()
    }

    private func send() {
        guard let part = output.first else { return }
        let size = min(part.count - sent, Limits.adminWriteSize)
        let count = part.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + sent, size, Int32(MSG_NOSIGNAL)) }
        if count < 0 {
            if errno != EAGAIN && errno != EINTR { end() }
            return
        }
        sent += count
        if sent == part.count {
            output.removeFirst()
            sent = 0
        }
        if !output.isEmpty { return loop.wake(self, .writable) }
        largeAnswerSince = nil
        if keepAlive { begin() } else { leave() }
    }

    /// Closed at once, with bytes of the client unread, the connection would be reset, and the answer lost on its way
    /// (RFC 9112 section 9.6).
    private func leave() {
        if !isLeaving { isLeaving = server.mayTakeLeave() }
        guard isLeaving else { return end() }
        phase = .leaving
        Socket.finishSending(fd)
        loop.schedule(self, at: loop.now + Limits.lingerTailNanoseconds)
        loop.wake(self, .readable)
    }

    private func drop() {
        let count = withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 16) { recv(fd, $0.baseAddress, $0.count, 0) }
        if count > 0 { return loop.wake(self, .readable) }
        if count == 0 || (errno != EAGAIN && errno != EINTR) { end() }
    }
}
