import Base
import HTTP
import Metrics
import Net
import Quotas
import Tenancy

/// One request of an HTTP/2 client, and its answer.
///
///     idle ──► exchange ◄──► aside
///      ▲           │
///      └─── rest ◄─┘
///
/// *exchange*: the request is under way. *aside*: it waits to be begun anew. *rest*: the exchange is over, and what the client
/// has not taken yet of its answer is kept here.
///
/// Of a request's body it keeps what its window allows and the upstream doesn't take; of an answer no more than one read.
final class H2ClientStream: Source {
    private let worker: Worker
    /// While it is somebody's.
    private(set) var client: H2Client?
    private(set) var origin: ClientOrigin
    private(set) var id: UInt32 = 0
    private(set) var exchange: Exchange?
    /// RFC 9218.
    var priority = H2Priority()

    // The request
    private var input = StreamInput()
    /// Fields of it are to be in no table further on either.
    private(set) var isSecret = false
    private var expectsContinue = false
    /// It is a tunnel's (RFC 8441).
    private(set) var isConnect = false
    /// It waits to be begun anew: as text.
    private var head: Buffer?
    private var paused: Exchange.Pause?

    // The answer
    private var output = StreamOutput()
    /// It stands in the client's list.
    var isWaiting = false
    /// Something of it was sent since that was last asked.
    private var hasMoved = false

    init(worker: Worker, for client: H2Client) {
        (self.worker, origin) = (worker, client.origin)
        super.init(loop: worker.loop, fd: -1, flow: client.flow)
    }

    func open(for client: H2Client, _ id: UInt32) {
        (self.client, self.id, origin) = (client, id, client.origin)
        flow = client.flow
        priority = H2Priority()
        (isSecret, expectsContinue, isConnect, isWaiting, hasMoved) = (false, false, false, false, false)
    }

    /// Its request is this tenant's. So is the turn of a connection on which nobody else was named.
    func attribute(to flow: Flow) {
        self.flow = flow
        client?.attribute(to: flow)
    }

    // MARK: The request

    /// Begins with a head as `RequestText` writes it. False where it goes no further for now.
    func begin(_ text: UnsafeRawBufferPointer, hasBody: Bool, isSecret: Bool) -> Bool {
        if !hasBody { input.end() }
        self.isSecret = isSecret
        return unsafe beginRequest(text)
    }

    private func beginRequest(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let client else { return false }
        let hasBody = !input.isWhole || !input.isEmpty
        let outcome = unsafe worker.requestHead.parse(ofStream: text, hasBody: hasBody, limits: worker.requestLimits)
        if case .refused(let fault) = outcome {
            refuse(Refusal(parserStatus: fault.status), fault.reason, status: fault.status)
            return false
        }
        let exchange = worker.takeExchange(for: .h2(self))
        self.exchange = exchange
        (expectsContinue, isConnect) = (worker.requestHead.expectsContinue, worker.requestHead.wantsUpgrade)
        if let said = unsafe worker.requestHead.value(of: "priority") { priority = unsafe H2Priority(field: said) }
        if case .length(let length) = worker.requestHead.framing { client.connection.expect(length, on: id) }
        loop.schedule(self, at: .max)
        do throws(Exchange.Halt) {
            try exchange.begin(worker.requestHead, after: paused)
        } catch {
            if case .aside(let reason) = error { unsafe setAside(reason, text) } else { paused = nil }
            return false
        }
        paused = nil
        return true
    }

    /// All of the request has come.
    var hasAll: Bool { input.isWhole }

    /// Whether the exchange takes more of the body at once.
    var takesBody: Bool { input.isEmpty && exchange?.wantsRequest == true }

    /// Keeps what can't be passed on yet; the client's window bounds it.
    func keep(_ bytes: UnsafeRawBufferPointer, isLast: Bool) {
        // Nobody wants it any more.
        if exchange == nil, head == nil {
            client?.connection.passedOn(bytes.count, of: id)
            if isLast { unwantedEnded() }
            return
        }
        unsafe input.keep(bytes, isLast: isLast, from: loop.buffers)
        loop.wake(self, [])
    }

    func take(trailers lines: [UInt8], areSecret: Bool) {
        if areSecret { isSecret = true }
        if exchange == nil, head == nil { return unwantedEnded() }
        input.keep(trailers: lines)
        loop.wake(self, [])
    }

    private func unwantedEnded() {
        input.end()
        if output.isEmpty { answered() }
    }

    /// The request's first part, with which it goes on, or another one.
    func give(_ part: consuming BodyPart) {
        guard let exchange, let client else { return }
        // Of a tunnel the request is whole before anything of it has come.
        if isConnect, exchange.phase == .beginning { return exchange.forward(.end) }
        input.passed(isLast: part.isLast)
        if part.count > 0 {
            expectsContinue = false
            client.connection.passedOn(part.count, of: id)
            client.wantsToSend()
        }
        if exchange.phase == .beginning { exchange.forward(part) } else { exchange.requestPart(part) }
    }

    /// The exchange takes more.
    override func ready(_ events: Readiness) {
        while let exchange, input.hasPart, exchange.wantsRequest { give(input.next(limit: Limits.readSize, in: worker.rooms)) }
    }

    // MARK: Aside

    private func setAside(_ reason: Exchange.Pause, _ text: UnsafeRawBufferPointer) {
        guard let exchange else { return }
        self.exchange = nil
        worker.giveBack(exchange)
        if head == nil {
            head = Buffer(capacity: text.count, from: loop.buffers)
            unsafe head!.append(text)
        }
        paused = reason
        switch reason {
        case .keys(let until): loop.schedule(self, at: until)
        case .guess, .openGuess: loop.schedule(self, at: loop.now + GuessDamper.delay)
        }
    }

    /// An issuer's keys were fetched.
    func keysFetched() {
        if case .keys = paused { loop.schedule(self, at: loop.now) }
    }

    private func resume() {
        guard head != nil else { return }
        // Into the room where it stood when it came: nobody reads meanwhile.
        let room = unsafe worker.rooms.fields
        let count = head.count
        unsafe room.copyMemory(from: head.readable)
        guard unsafe beginRequest(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])) else {
            if exchange != nil || paused == nil { head = nil }
            return
        }
        head = nil
        // The body's first part, if it has come.
        give(input.next(limit: Limits.readSize, in: worker.rooms))
        ready([])
    }

    override func expired() {
        if head != nil { return resume() }
        guard let client else { return }
        // The windows give room, so it is the connection that is slow, and has a deadline of its own.
        let isHeldUp = client.isCongested && client.connection.room(of: id) > 0
        if hasMoved || isHeldUp, exchange?.phase != .waiting, !output.isEmpty || isWaiting {
            hasMoved = false
            return loop.schedule(self, at: loop.now + worker.limits.bodyTimeout)
        }
        if let exchange { exchange.clientTimedOut() } else { end(output.isEmpty ? .noError : .cancel) }
    }

    // MARK: Refusals before there is an exchange

    func refuse(_ problem: Refusal, _ detail: StaticString, status: UInt16? = nil) {
        let exchange = worker.takeExchange(for: .h2(self))
        self.exchange = exchange
        exchange.refuseUnparsed(problem, detail, status: status)
    }

    // MARK: The end

    /// The client doesn't want it any more, or is not there to take it.
    func giveUp() {
        abandon()
        end(.cancel)
    }

    /// Everything of it ends with its connection.
    func connectionEnded() {
        abandon()
        close()
    }

    private func abandon() {
        guard let last = exchange else { return }
        exchange = nil
        last.clientGone()
    }

    /// The stream is over. In order where both have ended it; else by a reset with this code.
    private func end(_ code: H2Code) {
        guard let client else { return }
        client.connection.end(id, code)
        client.remove(self)
        close()
    }

    /// Another request may have it.
    private func close() {
        guard client != nil else { return }
        client = nil
        input.reset()
        output.reset()
        head = nil
        paused = nil
        loop.schedule(self, at: .max)
        flow = loop.commonFlow
        worker.giveBack(self)
    }
}

/// What its exchange says to it: see `ClientEnd`.
extension H2ClientStream {
    var isBroken: Bool { client?.isBroken ?? true }

    /// Something is taken beyond the window: an end needs none, and however little is taken an upstream is not read byte by byte.
    static let roomMin = 4 << 10

    /// Bytes of the answer that it takes now.
    var room: Int {
        guard let client else { return 0 }
        if output.isEmpty, !client.isCongested, !client.isBroken { return min(max(client.room(of: id), Self.roomMin), Limits.readSize) }
        waits()
        return 0
    }

    private func waits() {
        if isWaiting { return }
        isWaiting = true
        client?.waiting.append(self)
    }

    func askForBody() {
        guard expectsContinue else { return }
        expectsContinue = false
        unsafe write((100, UnsafeRawBufferPointer(start: nil, count: 0)), isLast: false)
    }

    func inform(_ head: WrittenHead) { unsafe write(head.answer(in: worker), isLast: false) }

    /// - Parameter head: its status, and its fields as lines.
    private func write(_ head: (status: UInt16, lines: UnsafeRawBufferPointer), isLast: Bool) {
        guard let client else { return }
        var scratch = unsafe ByteWriter(worker.rooms.block)
        unsafe client.connection.writeFields(
            status: head.status, head.lines, areSecret: isAnswerSecret, on: id, isLast: isLast, scratch: &scratch)
        client.wantsToSend()
    }

    private var isAnswerSecret: Bool { exchange?.upstream?.isSecret == true }

    func answer(_ head: WrittenHead, _ first: BodyPart) {
        let isLast = first.isLast && first.isEmpty && first.trailers.isEmpty
        unsafe write(head.answer(in: worker), isLast: isLast)
        if isLast { output.end() } else { pass(first) }
    }

    func openTunnel(_ head: WrittenHead, _ first: BodyPart) {
        // RFC 8441 section 5: what switched protocols in HTTP/1.1 is a plain 200 here.
        let lines = unsafe head.answer(in: worker).lines
        let rest = unsafe HandshakeFields.removed(from: UnsafeMutableRawBufferPointer(mutating: lines))
        unsafe write((200, rest), isLast: false)
        if !first.isEmpty || first.isLast { pass(first) }
        loop.schedule(self, at: loop.now + Limits.tunnelIdleNanoseconds)
        // What came before the answer is here already.
        expectsContinue = false
        loop.wake(self, [])
    }

    /// Sends what the windows take, and keeps the rest.
    func pass(_ part: BodyPart) {
        guard let client else { return }
        let areSecret = !part.trailers.isEmpty && isAnswerSecret
        if output.pass(part, areSecret: areSecret, on: id, of: client) { hasMoved = true }
        if !output.isEmpty { waits() }
        client.wantsToSend()
    }

    /// There may be room again.
    func hasRoom() {
        guard let client else { return }
        if !output.isEmpty {
            if output.flush(on: id, of: client) { hasMoved = true }
            if !output.isEmpty { return waits() }
            if output.hasEnded, exchange == nil { return answered() }
        }
        exchange?.clientHasRoom()
    }

    /// Whose turn it is first where all have something to send (RFC 9218 section 10).
    func goesBefore(_ other: H2ClientStream) -> Bool {
        if priority.urgency != other.priority.urgency { return priority.urgency < other.priority.urgency }
        if priority.isIncremental != other.priority.isIncremental { return !priority.isIncremental }
        return !priority.isIncremental && id < other.id
    }

    /// No other request is to come on its connection.
    func retire(expectsMore: Bool) {
        // What else it may be in the middle of sending on this stream is told apart from what is sent on others.
        if !expectsMore { client?.retire() }
    }

    /// Request and answer are over, but for what is kept of it.
    func finished() {
        guard let done = exchange, let client else { return }
        exchange = nil
        let verdict = done.bill.verdict
        client.ended(verdict, passed: done.bill.admission != nil && verdict.isAdmitted)
        worker.giveBack(done)
        input.drop()
        if output.isEmpty { return answered() }
        loop.schedule(self, at: loop.now + worker.limits.bodyTimeout)
    }

    /// All of the answer has left. Of a request that goes on the rest is dropped for a moment, and then not wanted: some clients
    /// forget an answer that they have not looked at yet when a reset comes with it.
    private func answered() {
        if hasAll { return end(.noError) }
        input.drop()
        loop.schedule(self, at: loop.now + Limits.unwantedNanoseconds)
    }

    /// The answer can't be completed.
    func breakOff() {
        abandon()
        end(.internalError)
    }
}

extension WrittenHead {
    /// Of an answer: its status, and its fields as lines up to an empty one.
    fileprivate func answer(in worker: Worker) -> (status: UInt16, lines: UnsafeRawBufferPointer) {
        let bytes = unsafe worker.rooms.h1(self, with: UnsafeRawBufferPointer(start: nil, count: 0)) { out in
            if case .length = body { out.append(body) }
        }
        // As the exchange writes it: `HTTP/1.1 200 reason`.
        var status: UInt16 = 0
        for i in 9..<12 { status = unsafe status * 10 + UInt16(bytes[i] - 0x30) }
        let start = unsafe bytes.firstIndex(of: ASCII.lf)! + 1
        return unsafe (status, UnsafeRawBufferPointer(rebasing: bytes[start...]))
    }
}
