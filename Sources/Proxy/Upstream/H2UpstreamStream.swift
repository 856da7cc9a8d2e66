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
    private var kept: Buffer?
    private var keptTrailers: [UInt8] = []
    /// All of it was given to this.
    private var hasRequest = false
    /// And has left.
    private var hasSentAll = false
    var isWaiting = false

    // The answer
    private var hasHead = false
    private var inbound: Buffer?
    private var trailers: [UInt8] = []
    private var hasAll = false
    private var hasPassedAll = false
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
        (id, hasRequest, hasSentAll, isWaiting) = (0, false, false, false)
        (hasHead, hasAll, hasPassedAll, interimBytes, isTunnel) = (false, false, false, 0, false)
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
        if kept == nil, !connection.isCongested, !connection.isBroken {
            return min(max(connection.room(of: id), H2ClientStream.roomMin), Limits.readSize)
        }
        waits()
        return 0
    }

    var isCongested: Bool { kept != nil }

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
                path: UnsafeRawBufferPointer(rebasing: bytes[(one + 1)..<two]), protocol: upgrade == nil ? nil : asked, lines, on: id,
                isLast: isLast, takesTrailers: exchange.request.takesTrailers, scratch: &scratch)
        }
        connection.wantsToSend()
        if isLast { (hasRequest, hasSentAll) = (true, true) } else if !head.isUpgrade { pass(first) }
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
        var sent = 0
        if kept == nil {
            sent = min(part.count, connection.connection.room(of: id))
            let isLast = part.isLast && sent == part.count && part.trailers.isEmpty
            if sent > 0 || isLast {
                let bytes = unsafe UnsafeRawBufferPointer(start: part.data.baseAddress, count: sent)
                unsafe connection.connection.writeData(bytes, on: id, isLast: isLast)
                if isLast { hasSentAll = true }
            }
        }
        if sent < part.count {
            if kept == nil { kept = Buffer(capacity: part.count - sent, from: loop.buffers) }
            unsafe kept!.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(part.data)[sent...]))
        }
        if part.isLast { (hasRequest, keptTrailers) = (true, part.trailers) }
        if kept != nil { waits() } else if hasRequest, !hasSentAll { writeEnd(connection) }
        connection.wantsToSend()
    }

    private func writeEnd(_ connection: H2Upstream) {
        hasSentAll = true
        if keptTrailers.isEmpty {
            return unsafe connection.connection.writeData(UnsafeRawBufferPointer(start: nil, count: 0), on: id, isLast: true)
        }
        var scratch = unsafe ByteWriter(worker.rooms.block)
        unsafe keptTrailers.withUnsafeBytes {
            unsafe connection.connection.writeFields(status: nil, $0, on: id, isLast: true, scratch: &scratch)
        }
        keptTrailers = []
    }

    private func waits() {
        if isWaiting { return }
        isWaiting = true
        connection?.waiting.append(self)
    }

    /// There may be room again.
    func hasRoom() {
        guard let connection else { return }
        if kept != nil {
            let count = min(kept.count, connection.room(of: id))
            if count > 0 {
                let isLast = hasRequest && count == kept.count && keptTrailers.isEmpty
                unsafe connection.connection.writeData(
                    UnsafeRawBufferPointer(rebasing: kept.readable[..<count]), on: id, isLast: isLast)
                if isLast { hasSentAll = true }
                kept!.consume(count)
            }
            if kept.count > 0 { return waits() }
            kept = nil
            if hasRequest, !hasSentAll { writeEnd(connection) }
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
    func readHead(_ text: UnsafeRawBufferPointer, isLast: Bool) -> Bool {
        guard let exchange else { return false }
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
        hasAll = isLast
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
        if first.isLast { (hasAll, hasPassedAll) = (true, true) }
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
        if part.isLast { (hasAll, hasPassedAll) = (true, true) }
        if !isTunnel, part.count > 0 || part.isLast { loop.schedule(self, at: loop.now + exchange.responseTimeout) }
        isHeldByPace = false
        exchange.answerPart(part)
        endTunnel()
    }

    /// A tunnel whose server has ended its side, and is gone: what the client still says leads nowhere.
    private func endTunnel() {
        if isTunnel, hasPassedAll, connection == nil { exchange?.endTunnel() }
    }

    private func passed(_ count: Int) {
        guard count > 0, let connection else { return }
        connection.connection.passedOn(count, of: id)
        connection.wantsToSend()
    }

    /// Bytes of it that the client takes at once.
    var partMax: Int { exchange?.answerRoom ?? 0 }

    /// Whether the exchange takes more of the body at once.
    var takesBody: Bool { inbound == nil && hasHead && partMax > 0 }

    func keep(_ bytes: UnsafeRawBufferPointer, isLast: Bool) {
        if isLast { hasAll = true }
        if unsafe !bytes.isEmpty {
            if inbound == nil { inbound = Buffer(capacity: bytes.count, from: loop.buffers) }
            unsafe inbound!.append(bytes)
        }
        loop.wake(self, [])
    }

    func take(trailers lines: [UInt8]) {
        (trailers, hasAll) = (lines, true)
        loop.wake(self, [])
    }

    /// The client takes more.
    override func ready(_ events: Readiness) {
        if let failure { return failed(failure) }
        while let exchange, hasHead, hasAll ? !hasPassedAll : inbound != nil {
            let limit = exchange.answerRoom
            if limit == 0 { return pause() }
            let count = min(inbound.count, limit, Limits.readSize)
            let room = unsafe worker.rooms.inbox(limit: count)
            if count > 0 {
                unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: inbound.readable[..<count]))
                inbound!.consume(count)
                if inbound.count == 0 { inbound = nil }
            }
            let isLast = hasAll && inbound == nil
            unsafe give(BodyPart(room, isLast: isLast, trailers: isLast ? trailers : []))
        }
    }

    // MARK: The end

    /// The server has reset it. NO_ERROR behind a whole answer only says that the rest of the request is not wanted.
    func wasReset(_ code: H2Code) {
        guard code == .noError, hasAll else { return failed(code == .refusedStream ? .refused : .cut) }
        hasSentAll = true
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
        if hasHead, hasAll { return endTunnel() }
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
        inbound = nil
        kept = nil
        (held, failure, accept) = (nil, nil, nil)
        if !trailers.isEmpty { trailers = [] }
        if !keptTrailers.isEmpty { keptTrailers = [] }
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
