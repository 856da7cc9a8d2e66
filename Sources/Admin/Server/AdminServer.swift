import Base
import Glibc
import HTTP
import Net

/// A small HTTP/1.1 server on an event loop: for the admin listener, never for tenants' traffic. One request at a time on a
/// connection, bodies read and dropped, answers whole.
public final class AdminServer: Source {
    public typealias Handler = (_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) -> Void

    private let handler: Handler
    fileprivate static let bodyMax: UInt64 = 1 << 20
    fileprivate static let timeout: UInt64 = 30_000_000_000
    /// Enough for every dashboard; more is somebody's mistake, and must not eat the proxy's descriptors.
    fileprivate static let connectionsMax = 256
    fileprivate var connections = 0

    /// Serves on a listening socket until `loop.close`.
    public init(loop: EventLoop, listening fd: Int32, handler: @escaping Handler) {
        self.handler = handler
        super.init(loop: loop, fd: fd, flow: loop.commonFlow)
        _ = loop.add(self)
        loop.wake(self, .readable)
    }

    public override func ready(_ events: Readiness) {
        while let (fd, _) = Socket.accept(fd) {
            guard connections < Self.connectionsMax else {
                Glibc.close(fd)
                continue
            }
            let connection = AdminConnection(server: self, fd: fd)
            guard loop.add(connection) else {
                loop.close(connection)
                continue
            }
            connections += 1
            loop.schedule(connection, at: loop.now + Self.timeout)
        }
    }

    fileprivate func handle(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) { handler(request, reply) }
}

private final class AdminConnection: Source {
    private let server: AdminServer
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var head = RequestHead(maxFields: 100)
    private var scanned = 0
    private var toDrop: UInt64 = 0
    private var isAnswering = false
    private var keepAlive = true

    init(server: AdminServer, fd: Int32) {
        self.server = server
        super.init(loop: server.loop, fd: fd, flow: server.loop.commonFlow)
    }

    override func ready(_ events: Readiness) {
        if !events.isDisjoint(with: [.hungUp, .failed]) { return end() }
        send()
        receive()
    }

    override func expired() { end() }

    private func end() {
        if isClosed { return }
        server.connections -= 1
        loop.close(self)
    }

    private func receive() {
        while !isClosed, !isAnswering {
            if parse() { continue }
            let got = withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { room in
                let count = recv(fd, room.baseAddress!, room.count, 0)
                if count > 0 { input.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])) }
                return count
            }
            if got > 0 { continue }
            if got == 0 || (errno != EAGAIN && errno != EINTR) { end() }
            return
        }
    }

    /// Takes one request off the input. False when more bytes are needed.
    private func parse() -> Bool {
        if toDrop > 0 {
            let count = Int(min(toDrop, UInt64(input.count)))
            input.removeFirst(count)
            toDrop -= UInt64(count)
            return toDrop == 0 && !input.isEmpty
        }
        if input.isEmpty { return false }
        let outcome = input.withUnsafeBytes { bytes in
            head.parse(bytes, from: &scanned, limits: ParseLimits(maxHeadSize: 32 << 10, maxFields: 100))
        }
        switch outcome {
        case .incomplete: return false
        case .refused(let fault):
            keepAlive = false
            input = []
            write(status: Int(fault.status), fields: [], body: Array("\(fault.reason)\n".utf8), length: nil)
            return true
        case .complete: break
        }
        scanned = 0
        keepAlive = head.keepAlive
        switch head.framing {
        case .length(let length) where length <= AdminServer.bodyMax: toDrop = length
        case .none: toDrop = 0
        default:
            keepAlive = false
            write(status: 413, fields: [], body: Array("no such body is expected\n".utf8), length: nil)
            return true
        }
        let request = input.withUnsafeBytes { bytes -> AdminRequest in
            func text(_ range: ByteRange) -> String { String(decoding: bytes[range], as: UTF8.self) }
            let target = text(head.target)
            let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            var fields: [(name: String, value: String)] = []
            for i in 0..<head.fields.count { fields.append((text(head.fields[i].name), text(head.fields[i].value))) }
            return AdminRequest(
                method: text(head.methodRange), path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : nil,
                fields: fields)
        }
        input.removeFirst(head.length)
        isAnswering = true
        server.handle(request) { [self] response in
            guard !isClosed else { return }
            write(status: response.status, fields: response.fields, body: response.body, length: response.contentLength)
        }
        return true
    }

    private func write(status: Int, fields: [(name: String, value: String)], body: [UInt8], length: Int?) {
        isAnswering = true
        var text = "HTTP/1.1 \(status) \(ReasonPhrase.of(status))\r\nContent-Length: \(length ?? body.count)\r\n"
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        if !keepAlive { text += "Connection: close\r\n" }
        text += "\r\n"
        output += Array(text.utf8) + body
        loop.schedule(self, at: loop.now + AdminServer.timeout)
        send()
        // The reply may come long after the event that asked for it.
        if !isClosed, !isAnswering { loop.wake(self, .readable) }
    }

    private func send() {
        guard !isClosed, isAnswering, sent < output.count else { return }
        let count = output.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL)) }
        if count < 0 {
            if errno != EAGAIN && errno != EINTR { end() }
            return
        }
        sent += count
        guard sent == output.count else { return }
        (output, sent, isAnswering) = ([], 0, false)
        if !keepAlive { end() }
    }
}
