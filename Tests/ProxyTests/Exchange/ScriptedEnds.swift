import Base
import Glibc

@testable import HTTP
@testable import Net
@testable import Proxy

/// What a client's end has heard, in this order.
enum Heard: Equatable {
    case asked
    case informed(UInt16)
    case answered(UInt16)
    /// Bytes of the body, and whether they were the last.
    case part(String, isLast: Bool)
    case tunnel
    case retired
    case finished
    case brokenOff
}

/// A client that asks and hears, and does what an end owes its exchange.
final class ScriptedClient: OtherClient {
    let worker: Worker
    private(set) var exchange: Exchange?
    private(set) var heard: [Heard] = []
    /// Of the answer's body.
    private(set) var body: [UInt8] = []
    private(set) var head = ""
    private(set) var wakes = 0
    var takes = true
    var isCut = false
    /// What `begin` set it aside for.
    private(set) var paused: Exchange.Pause?

    override var room: Int { takes ? Limits.readSize : 0 }
    override var isBroken: Bool { isCut }

    private final class Turn: Source {
        var isDue: () -> Void = {}
        var isWoken: () -> Void = {}
        override func expired() { isDue() }
        override func ready(_ events: Readiness) { isWoken() }
    }

    init(_ worker: Worker, origin: ClientOrigin) {
        self.worker = worker
        let turn = Turn(loop: worker.loop, fd: -1, flow: worker.loop.commonFlow)
        super.init(source: turn, origin: origin)
        turn.isDue = { [unowned self] in exchange?.clientTimedOut() }
        turn.isWoken = { [unowned self] in wakes += 1 }
    }

    deinit { worker.loop.close(source) }

    /// A request whose head is whole; `first` is what has come of its body.
    @discardableResult
    func ask(
        _ method: String = "GET", _ path: String = "/", host: String = "acme.test", fields: String = "", first: String? = nil,
        isLast: Bool = true
    ) -> ScriptedClient {
        let text = Array("\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n".utf8)
        let exchange = worker.takeExchange(for: .other(self))
        self.exchange = exchange
        worker.reading(text) { head in
            var scanned = 0
            let outcome = worker.requestHead.parse(UnsafeRawBufferPointer(head), from: &scanned, limits: worker.requestLimits)
            precondition(outcome == .complete, "\(outcome)")
            do throws(Exchange.Halt) {
                try exchange.begin(worker.requestHead, after: paused)
            } catch {
                if case .aside(let pause) = error { paused = pause }
                return
            }
            send(first: Array((first ?? "").utf8), isLast: isLast)
        }
        return self
    }

    private func send(first: [UInt8], isLast: Bool) {
        worker.reading(first) { exchange?.forward(BodyPart($0, isLast: isLast)) }
    }

    /// The next part of its body.
    func send(_ text: String, isLast: Bool = false) {
        worker.reading(Array(text.utf8)) { exchange?.requestPart(BodyPart($0, isLast: isLast)) }
    }

    /// It takes what was kept for it.
    func drain() {
        takes = true
        exchange?.clientHasRoom()
    }

    /// Its connection ends.
    func leave() {
        guard let exchange else { return }
        self.exchange = nil
        exchange.clientGone()
    }

    func expire() { exchange?.clientTimedOut() }

    // MARK: What it hears

    override func askForBody() { heard.append(.asked) }
    override func inform(_ head: WrittenHead) { heard.append(.informed(status(of: head))) }

    override func answer(_ head: WrittenHead, _ first: BodyPart) {
        heard.append(.answered(status(of: head)))
        take(first)
    }

    override func pass(_ part: BodyPart) { take(part) }

    override func openTunnel(_ head: WrittenHead, _ first: BodyPart) {
        heard.append(.tunnel)
        take(first)
    }

    override func retire() { heard.append(.retired) }

    override func finished() {
        heard.append(.finished)
        guard let exchange else { return }
        self.exchange = nil
        worker.giveBack(exchange)
    }

    override func breakOff() {
        heard.append(.brokenOff)
        leave()
    }

    private func take(_ part: BodyPart) {
        if part.data.isEmpty, !part.isLast { return }
        body += Array(part.data)
        heard.append(.part(String(decoding: part.data, as: UTF8.self), isLast: part.isLast))
    }

    private func status(of head: WrittenHead) -> UInt16 {
        self.head = String(decoding: worker.rooms.bytes(of: head), as: UTF8.self)
        return UInt16(self.head.dropFirst(9).prefix(3))!
    }

    /// The status of the answer, if there was one.
    var status: UInt16? {
        for case .answered(let status) in heard { return status }
        return nil
    }

    var isOver: Bool { exchange == nil }
}

/// A connection to a server that does what the test says, and what an end owes its exchange.
final class ScriptedUpstream: OtherUpstream {
    enum State: Equatable { case connecting, busy, released, cancelled }

    private(set) var state = State.connecting
    let address: SocketAddress
    private(set) var exchange: Exchange?
    private(set) var head = ""
    private(set) var body: [UInt8] = []
    private(set) var hasAll = false
    /// Of a tunnel: it was told that the client sends no more.
    private(set) var hasEnd = false
    /// How often the time for its answer has begun.
    private(set) var expectations = 0
    var isExpected: Bool { expectations > 0 }
    private(set) var wants = 0
    private(set) var pauses = 0
    var takes = true

    init(pool: ServerPool, address: SocketAddress) {
        self.address = address
        super.init(pool: pool)
    }

    var isKept = false
    override var isReused: Bool { isKept }
    override var room: Int { state == .busy && takes ? Limits.readSize : 0 }

    override func use(_ exchange: Exchange) {
        self.exchange = exchange
        pool.inFlight += 1
        super.use(exchange)
    }

    /// Whether its exchange still names it: nothing else is to be believed.
    private var carried: Exchange? {
        if exchange?.upstream?.scripted === self { return exchange }
        return nil
    }

    // MARK: What it does

    func connect() {
        precondition(state == .connecting)
        state = .busy
        let dial = dial
        self.dial = nil
        dial?.connected(.other(self))
    }

    /// It can't be connected to.
    func refuse(_ error: Int32 = ECONNREFUSED) {
        if state != .connecting { return }
        let dial = dial
        end(.cancelled)
        dial?.failed(.other(self), .system(error))
    }

    func fail(_ failure: UpstreamFailure) { carried?.fail(failure) }

    /// The head of an answer, and the first part of its body.
    func answer(_ status: Int, fields: String = "Content-Length: 1000000\r\n", _ first: String = "", isLast: Bool = false) {
        guard let exchange = carried else { return }
        let head = Array("HTTP/1.1 \(status) Said\r\n\(fields)\r\n".utf8)
        let worker = exchange.worker
        worker.reading(head + Array(first.utf8)) { region in
            var scanned = 0
            let outcome = worker.responseHead.parse(
                UnsafeRawBufferPointer(region), from: &scanned, requestMethod: exchange.request.method,
                limits: worker.responseLimits)
            precondition(outcome == .complete, "\(outcome)")
            let part = BodyPart(UnsafeMutableRawBufferPointer(rebasing: region[head.count...]), isLast: isLast)
            switch status {
            case 101: exchange.switched(worker.responseHead, part)
            case ..<200: exchange.inform(worker.responseHead)
            default: exchange.answerHead(worker.responseHead, part)
            }
        }
    }

    /// The next part of the answer's body.
    func send(_ text: String, isLast: Bool = false) {
        guard let exchange = carried else { return }
        exchange.worker.reading(Array(text.utf8)) { exchange.answerPart(BodyPart($0, isLast: isLast)) }
    }

    /// It takes what was kept for it.
    func drain() {
        takes = true
        carried?.upstreamHasRoom()
    }

    // MARK: What it hears

    override func send(_ head: WrittenHead, _ first: BodyPart) {
        self.head = String(decoding: exchange!.worker.rooms.bytes(of: head), as: UTF8.self)
        pass(first)
    }

    override func pass(_ part: BodyPart) {
        body += Array(part.data)
        if part.isLast { (hasAll, hasEnd) = (true, exchange?.phase == .tunnel) }
    }

    override func expectAnswer(within timeout: UInt64) { expectations += 1 }
    override func pause() { pauses += 1 }
    override func wantsMore(isOwed: Bool) { wants += 1 }
    override func release() { end(.released) }
    override func cancel() { end(.cancelled) }

    private func end(_ state: State) {
        if exchange == nil, self.state != .connecting { return }
        self.state = state
        dial = nil
        if exchange != nil { pool.inFlight -= 1 }
        exchange = nil
        pool.forget(nil)
    }
}
