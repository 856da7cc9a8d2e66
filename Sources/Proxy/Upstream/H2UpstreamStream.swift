import Base
import Crypto
import HTTP
import Net

/// One request on an HTTP/2 connection to a server, and its answer. What comes in the answer faster than the client takes it is
/// kept here, within the stream's window.
final class H2UpstreamStream: Source {
    private let worker: Worker
    /// While it is on one.
    private var connection: H2Upstream?
    private(set) var pool: ServerPool
    private var address: ServerAddress
    private(set) var id: UInt32 = 0
    private var exchange: Exchange?
    private(set) var isReused = false

    // The request
    private var output = StreamOutput()
    var isWaiting = false

    // The answer
    private var hasHead = false
    private var input = StreamInput()
    /// Fields of it are to be in no table further on either.
    private(set) var isSecret = false
    private var interimBytes = 0
    /// It is an extended CONNECT (RFC 8441), and what its server would have to show in HTTP/1.1.
    private var accept: [UInt8]?
    private var isTunnel = false

    /// An extended CONNECT, until it is known whether the server takes it.
    private var held: (head: WrittenHead, bytes: [UInt8])?
    /// What it could not begin with, to be told.
    private var failure: UpstreamFailure?
    private var responseTimeout: UInt64 = 0
    private var isHeldByPace = false
    /// Nobody's: another request may have it.
    private var isLeft = true

    init(on connection: H2Upstream) {
        (worker, pool, address) = (connection.worker, connection.pool, connection.address)
        super.init(loop: connection.loop, fd: -1, flow: connection.loop.commonFlow)
    }

    func open(on connection: H2Upstream) {
        (self.connection, pool, address, isReused) = (connection, connection.pool, connection.address, connection.wasIdle)
        (id, isWaiting) = (0, false)
        (hasHead, isSecret, interimBytes, isTunnel) = (false, false, 0, false)
        (responseTimeout, isHeldByPace, isLeft) = (0, false, false)
    }

    // MARK: What the exchange says to it: see `UpstreamEnd`

    var dial: Dial? {
        get { connection?.dial }
        set { connection?.dial = newValue }
    }

    func use(_ exchange: Exchange) {
        precondition(self.exchange == nil, "the stream carries another request")
        self.exchange = exchange
        flow = exchange.client.flow
        pool.inFlight += 1
        exchange.attempt(on: .h2(self))
    }

    /// Bytes of the request that it takes now.
    var room: Int {
        guard let connection, id > 0 else { return 0 }
        // Something is taken beyond the window: an end needs none, and a client is not read byte by byte.
        if output.isEmpty, !connection.isCongested, !connection.isBroken {
            return min(max(connection.room(of: id), H2ClientStream.roomMin), Limits.readSize)
        }
        waits()
        return 0
    }

    var isCongested: Bool { !output.isEmpty }

    func send(_ head: WrittenHead, _ first: BodyPart) {
        guard let connection, let exchange else { return }
        if head.isUpgrade, !connection.connection.isSettled {
            held = unsafe (head, Array(worker.rooms.bytes(of: head)))
            return connection.holds(self)
        }
        if head.isUpgrade, !connection.connection.peerAllowsConnect { return fails(.malformed) }
        // It takes no more requests since it was chosen.
        guard let number = connection.open(self) else { return fails(.refused) }
        id = number
        let isLast = first.isLast && first.isEmpty && first.trailers.isEmpty && !head.isUpgrade
        let bytes = unsafe worker.rooms.h1(head, with: UnsafeRawBufferPointer(start: nil, count: 0)) { out in
            if case .length = head.body { out.append(head.body) }
        }
        // As the exchange writes it: `METHOD target HTTP/1.1`.
        let one = unsafe bytes.firstIndex(of: ASCII.space)!
        let two = unsafe bytes[(one + 1)...].firstIndex(of: ASCII.space)!
        let end = unsafe bytes[two...].firstIndex(of: ASCII.lf)!
        var lines = unsafe UnsafeRawBufferPointer(rebasing: bytes[(end + 1)...])
        var scratch = unsafe ByteWriter(worker.rooms.block)
        var upgrade: [UInt8]?
        if head.isUpgrade {
            accept = unsafe (exchange.client.isH2 ? exchange.webSocketKey : HandshakeFields.key(in: lines))?.accept ?? []
            upgrade = exchange.askedProtocols
            unsafe lines = HandshakeFields.removed(from: UnsafeMutableRawBufferPointer(mutating: lines))
        }
        unsafe (upgrade ?? []).withUnsafeBytes { asked in
            unsafe connection.connection.writeRequest(
                method: UnsafeRawBufferPointer(rebasing: bytes[..<one]), scheme: connection.tls == nil ? "http" : "https",
                path: UnsafeRawBufferPointer(rebasing: bytes[(one + 1)..<two]), protocol: upgrade == nil ? nil : asked, lines,
                isSecret: exchange.client.isSecret, on: id, isLast: isLast, takesTrailers: exchange.request.takesTrailers,
                scratch: &scratch)
        }
        connection.wantsToSend()
        if isLast { output.end() } else if !head.isUpgrade { pass(first) }
    }

    /// The server has said what it takes.
    func settled() {
        guard let held else { return }
        self.held = nil
        unsafe held.bytes.withUnsafeBytes { unsafe worker.rooms.restore($0) }
        send(held.head, .end)
    }

    func pass(_ part: BodyPart) {
        guard let connection, id > 0 else { return }
        _ = output.pass(part, areSecret: !part.trailers.isEmpty && exchange?.client.isSecret == true, on: id, of: connection)
        if !output.isEmpty { waits() }
        connection.wantsToSend()
    }

    private func waits() {
        if isWaiting { return }
        isWaiting = true
        connection?.waiting.append(self)
    }

    /// There may be room again.
    func hasRoom() {
        guard let connection else { return }
        if !output.isEmpty {
            _ = output.flush(on: id, of: connection)
            if !output.isEmpty { return waits() }
        }
        exchange?.upstreamHasRoom()
    }

    // MARK: Its deadline, which the exchange moves

    func expectAnswer(within timeout: UInt64) {
        responseTimeout = timeout
        loop.schedule(self, at: loop.now + timeout)
    }

    func pause() {
        isHeldByPace = exchange?.isPaced == true
        loop.schedule(self, at: isHeldByPace ? exchange!.bill.pacedUntil : .max)
    }

    func resume(isOwed: Bool) {
        if isOwed, responseTimeout > 0 { loop.schedule(self, at: loop.now + responseTimeout) }
        loop.wake(self, [])
    }

    override func expired() {
        if isHeldByPace {
            isHeldByPace = false
            loop.schedule(self, at: loop.now + responseTimeout)
            return loop.wake(self, [])
        }
        exchange?.fail(.timedOut)
    }

    /// In a turn of its own: whoever gives it something to send is in the middle of that.
    private func fails(_ failure: UpstreamFailure) {
        self.failure = failure
        loop.wake(self, [])
    }

    // MARK: The answer

    /// The next head stands there, as text. False where it is no final one, or nobody wants it any more.
    func readHead(_ text: UnsafeRawBufferPointer, isLast: Bool, isSecret: Bool) -> Bool {
        guard let exchange else { return false }
        self.isSecret = isSecret
        var scanned = 0
        var text = unsafe text
        if accept != nil, unsafe text[9] == 0x32 { unsafe text = switching(text) }
        let outcome = unsafe worker.responseHead.parse(
            text, from: &scanned, requestMethod: exchange.request.method, limits: worker.responseLimits)
        guard outcome == .complete else {
            exchange.fail(.malformed)
            return false
        }
        if worker.responseHead.status < 200, !worker.responseHead.isUpgrade {
            interimBytes += text.count
            if interimBytes > Limits.interimBytesMax { exchange.fail(.malformed) } else { exchange.inform(worker.responseHead) }
            return false
        }
        hasHead = true
        if isLast { input.end() }
        return true
    }

    /// What an answer to an extended CONNECT would be in HTTP/1.1. It stands behind the text.
    private func switching(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        isTunnel = true
        var out = unsafe ByteWriter(worker.rooms.block)
        out.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: ")
        out.append(exchange?.askedProtocols ?? [])
        if let accept, !accept.isEmpty {
            out.append("\r\nSec-WebSocket-Accept: ")
            out.append(accept)
        }
        out.append("\r\nConnection: upgrade\r\n")
        let end = unsafe text.firstIndex(of: ASCII.lf)!
        unsafe out.append(UnsafeRawBufferPointer(rebasing: text[(end + 1)...]))
        return unsafe out.written
    }

    /// The final head, and what has come of the body.
    func answer(_ first: consuming BodyPart) {
        guard let exchange else { return }
        passed(first.count)
        input.passed(isLast: first.isLast)
        if isTunnel {
            exchange.switched(worker.responseHead, first)
            return loop.wake(self, [])
        }
        exchange.answerHead(worker.responseHead, first)
    }

    /// The next part of it.
    func give(_ part: consuming BodyPart) {
        guard let exchange else { return }
        passed(part.count)
        input.passed(isLast: part.isLast)
        if !isTunnel, part.count > 0 || part.isLast { loop.schedule(self, at: loop.now + exchange.responseTimeout) }
        isHeldByPace = false
        exchange.answerPart(part)
        endTunnel()
    }

    /// A tunnel whose server has ended its side, and is gone: what the client still says leads nowhere.
    private func endTunnel() {
        if isTunnel, input.isDone, connection == nil { exchange?.endTunnel() }
    }

    private func passed(_ count: Int) {
        guard count > 0, let connection else { return }
        connection.connection.passedOn(count, of: id)
        connection.wantsToSend()
    }

    /// Bytes of it that the client takes at once.
    var partMax: Int { exchange?.answerRoom ?? 0 }

    /// Whether the exchange takes more of the body at once.
    var takesBody: Bool { input.isEmpty && hasHead && partMax > 0 }

    func keep(_ bytes: UnsafeRawBufferPointer, isLast: Bool) {
        unsafe input.keep(bytes, isLast: isLast, from: loop.buffers)
        loop.wake(self, [])
    }

    func take(trailers lines: [UInt8], areSecret: Bool) {
        if areSecret { isSecret = true }
        input.keep(trailers: lines)
        loop.wake(self, [])
    }

    /// The client takes more.
    override func ready(_ events: Readiness) {
        if let failure { return failed(failure) }
        while let exchange, hasHead, input.hasPart {
            let limit = exchange.answerRoom
            if limit == 0 { return pause() }
            give(input.next(limit: min(limit, Limits.readSize), in: worker.rooms))
        }
    }

    // MARK: The end

    /// The server has reset it. NO_ERROR behind a whole answer only says that the rest of the request is not wanted.
    func wasReset(_ code: H2Code) {
        guard code == .noError, input.isWhole else { return failed(code == .refusedStream ? .refused : .cut) }
        output.end()
        guard isTunnel, let connection else { return }
        // Its client may go on for ever.
        self.connection = nil
        connection.remove(self)
        endTunnel()
    }

    func failed(_ failure: UpstreamFailure) {
        guard let exchange else { return leave(.cancel) }
        exchange.fail(failure)
    }

    /// That connection is gone, and the stream with it, unless it is another one's by now.
    func ended(_ failure: UpstreamFailure, on gone: H2Upstream) {
        guard connection === gone else { return }
        connection = nil
        // The answer has come whole, and is being taken.
        if hasHead, input.isWhole { return endTunnel() }
        switch failure {
        // Nothing of it was ever sent.
        case .cut where id == 0, .malformed where id == 0: exchange?.fail(.refused)
        case .cut where isReused && gone.isUnheard: exchange?.fail(.stale)
        default: exchange?.fail(failure)
        }
    }

    /// Request and answer are over.
    func release() {
        if hasHead { address.standing.answered(at: loop.now) }
        leave(.noError)
    }

    /// Nothing of the answer is wanted any more.
    func cancel() { leave(.cancel) }

    private func leave(_ code: H2Code) {
        if isLeft { return }
        isLeft = true
        if exchange != nil {
            exchange = nil
            pool.inFlight -= 1
        }
        loop.schedule(self, at: .max)
        flow = loop.commonFlow
        input.reset()
        output.reset()
        (held, failure, accept) = (nil, nil, nil)
        if let connection {
            self.connection = nil
            if id > 0 {
                connection.connection.end(id, code)
                connection.remove(self)
            } else {
                connection.abandon(self)
            }
        }
        worker.giveBack(self)
    }
}
