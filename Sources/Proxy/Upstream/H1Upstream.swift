import Base
import Glibc
import HTTP
import Net

/// One HTTP/1.1 connection to a server: one request at a time, kept for the next one only when nothing was left unclear.
///
///     connecting ──► busy ◄──► idle
///          └──────────┴─────────┴──► closed
final class H1Upstream: Transport {
    enum State { case connecting, busy, idle }

    let pool: ServerPool
    let address: ServerAddress
    private(set) var state = State.connecting
    /// Who waits for it while it is connecting.
    var dial: Dial?
    /// Whom it was given to. Not to be believed alone: see `exchange`.
    private var holder: Exchange?
    /// It has carried a request before: the server may have closed it meanwhile, unseen.
    private(set) var isReused = false
    /// Received and not yet a whole head.
    private var inbound: Buffer?
    private var scanned = 0
    /// The request's body goes out in chunks.
    private var chunks = false
    /// All of the request was given to it.
    private var hasRequest = false
    /// The answer's head is whole.
    private var hasHead = false
    /// Of the answer.
    private var body = BodyReader(of: .response)
    private var isTunnel = false
    /// The client's direction of the tunnel is over, once all of it is sent.
    private var endsWhenSent = false
    /// Bytes of the answers before the answer.
    private var interimBytes = 0
    /// `inbound` holds bytes past an answer before the answer that were not looked at yet.
    private var hasNewInbound = false
    /// One of those does not let the connection go on.
    private var ends = false
    /// The answer says that the connection may go on, and nothing stood behind its end.
    private var keeps = false
    /// The exchange's deadline (time for an answer) is at work.
    var responseTimeout: UInt64 = 0
    /// The deadline is that of the tenant's bandwidth.
    var isHeldByPace = false
    /// Nanoseconds for which the server keeps it unused, by its own word.
    private var keptFor = UInt64.max
    /// Unused since then.
    private var idleSince: UInt64 = 0
    /// Its last answer was one that has no body, whatever its fields say: a server that sends one all the same does it now.
    private(set) var hadNoBody = false
    /// The server was told that it carries this client's requests.
    private let client: SocketAddress?

    init(worker: Worker, fd: Int32, pool: ServerPool, address: ServerAddress) {
        (self.pool, self.address, client) = (pool, address, nil)
        super.init(worker: worker, fd: fd, flow: worker.loop.commonFlow)
    }

    /// Takes a connection over that stands.
    init(_ opening: UpstreamOpening, fd: Int32) {
        (pool, address, client, state) = (opening.pool, opening.address, opening.client, .busy)
        super.init(worker: opening.worker, fd: fd, flow: opening.flow)
        takeOver(opening)
        readsWhileCongested = tls != nil
    }

    /// Tells who waits for it that it stands.
    func stand(for dial: Dial, begunAs end: OpeningEnd) {
        guard loop.add(self) else {
            shut()
            return dial.failed(.other(end), .system(ENOMEM))
        }
        dial.connected(.h1(self), begunAs: end)
        // Wanted by nobody any more.
        if !isClosed, holder == nil { shut() }
    }

    /// It may carry requests of this client.
    func serves(_ exchange: Exchange) -> Bool { client.map { $0.hasSameHost(as: exchange.clientAddress) } ?? true }

    /// Whose answer it carries: only one that names this connection as its own (see `Exchange`, Links).
    var exchange: Exchange? {
        guard let holder else { return nil }
        if holder.upstream?.is(self) == true { return holder }
        worker.metrics.staleEvents.add()
        return nil
    }

    /// Belongs to the exchange from now on.
    func use(_ exchange: Exchange) {
        precondition(holder == nil, "the connection carries another request")
        holder = exchange
        flow = exchange.client.flow
        pool.inFlight += 1
        exchange.attempt(on: .h1(self))
        if state == .idle { state = .busy }
    }

    // MARK: Events

    override func ready(_ events: Readiness) {
        note(events)
        switch state {
        case .connecting:
            if !events.isDisjoint(with: [.writable, .failed, .hungUp]) { connected() }
        case .idle:
            // Nothing was asked: bytes are nobody's answer, and an end is an end. `canRead` may be left from a long answer.
            if events.isDisjoint(with: [.readable, .peerFinished, .hungUp, .failed]) || bringsNothing { return }
            pool.closedByServer(after: loop.now - idleSince)
            shut()
        case .busy:
            if isCongested, flush() {
                if endsWhenSent { endSending() }
                exchange?.upstreamHasRoom()
            }
            if canRead || hasNewInbound, state == .busy { readAnswer() }
        }
    }

    /// What has come while it is unused is TLS's own: a ticket, a new key.
    private var bringsNothing: Bool {
        guard tls != nil, !isBroken, case .nothing = unsafe receive(into: worker.rooms.inbox(limit: Limits.headReadSizeMin)) else {
            return false
        }
        return !isBroken && !peerFinished
    }

    private func connected() {
        let error = Socket.error(fd)
        let dial = dial
        self.dial = nil
        guard error == 0 else {
            shut()
            dial?.failed(.h1(self), .system(error))
            return
        }
        state = .busy
        isBroken = false
        dial?.connected(.h1(self))
        // Wanted by nobody any more.
        if state == .busy, holder == nil { return shut() }
        // What it said before it was asked came with the event that brought us here.
        if canRead, state == .busy { loop.wake(self, []) }
    }

    override func expired() {
        switch state {
        case .connecting: break
        case .idle: shut()
        case .busy:
            if isHeldByPace {
                isHeldByPace = false
                loop.schedule(self, at: loop.now + responseTimeout)
                return loop.wake(self, [])
            }
            exchange?.fail(.timedOut)
        }
    }

    // MARK: The request

    /// Bytes of the request that it takes now.
    var room: Int { state != .busy || isCongested || isBroken ? 0 : Limits.readSize }

    func send(_ head: WrittenHead, _ first: BodyPart) {
        chunks = head.body == .unknown
        hasRequest = first.isLast
        unsafe send(worker.rooms.h1(head, with: framed(first)) { out in
            out.append(head.body)
            if head.isUpgrade { out.append("Connection: upgrade\r\n") }
        })
    }

    func pass(_ part: BodyPart) {
        hasRequest = part.isLast
        let bytes = unsafe framed(part)
        if unsafe !bytes.isEmpty { unsafe send(bytes) }
        if isTunnel, part.isLast {
            if let tls { _ = finishEncrypted(tls) }
            if isCongested { endsWhenSent = true } else { endSending() }
        }
    }

    private func framed(_ part: BodyPart) -> UnsafeRawBufferPointer {
        unsafe chunks && !isTunnel ? worker.rooms.chunk(part) : UnsafeRawBufferPointer(part.data)
    }

    // MARK: The answer
    // A region is a part of the inbox, good until the next read, which takes another turn of this loop. `worker.responseHead` is
    // asked for its bytes only until the exchange has taken the head.

    func readAnswer() {
        guard let exchange else { return }
        // Of a tunnel whose server has ended its direction the other one is left, until the connection breaks.
        if isTunnel, body.isDone { return isBroken ? exchange.endTunnel() : () }
        if canRead, !hasHead { exchange.prefetch() }
        if hasNewInbound {
            if exchange.answerRoom == 0 { return pause() }
            hasNewInbound = false
            unsafe readHead(UnsafeMutableRawBufferPointer(start: nil, count: 0), exchange)
            // What is left in the kernel has a turn of its own.
            if canRead, state == .busy { loop.wake(self, []) }
            return
        }
        while canRead, state == .busy, holder === exchange, exchange.upstream?.is(self) == true {
            let limit = exchange.answerRoom
            if limit == 0 { return pause() }
            isHeldByPace = false
            let room = unsafe worker.rooms.inbox(limit: limit)
            switch unsafe receive(into: room) {
            case .bytes(let count):
                // Of TLS it may be more than was asked for, which there is room for.
                let region = unsafe UnsafeMutableRawBufferPointer(start: room.baseAddress, count: count)
                if hasHead { unsafe readBody(region, exchange) } else { unsafe readHead(region, exchange) }
                // One read a turn when there may be much more: others want a turn as well.
                if canRead, state == .busy {
                    loop.wake(self, [])
                    return
                }
            case .nothing: return
            case .end:
                // Without its own end TLS was cut, whoever did that (RFC 8446 section 6.1).
                guard hasHead, tls?.hasEnded != false, body.end() else { return ended(exchange) }
                exchange.answerPart(.end)
                // No event tells again that nothing is taken any more.
                if isTunnel, isBroken { self.exchange?.endTunnel() }
                return
            case .failed:
                return refusesCertificate(address, of: pool) && !hasHead ? exchange.fail(.unwelcome) : ended(exchange)
            }
        }
    }

    /// It has ended before its answer has.
    private func ended(_ exchange: Exchange) {
        guard isReused, !hasHead, inbound == nil, interimBytes == 0 else { return exchange.fail(.cut) }
        pool.closedByServer(after: 0)
        exchange.fail(.stale)
    }

    private func readBody(_ region: UnsafeMutableRawBufferPointer, _ exchange: Exchange) {
        if !isTunnel { loop.schedule(self, at: loop.now + responseTimeout) }
        let (part, isValid) = unsafe take(region)
        if isValid { return exchange.answerPart(part) }
        exchange.fail(.malformed)
    }

    /// What the region holds of the answer's body. False where that is no valid HTTP.
    private func take(_ region: UnsafeMutableRawBufferPointer) -> (BodyPart, isValid: Bool) {
        let step = unsafe body.read(region)
        // Bytes after the end were not asked for: this connection can't be trusted with another request.
        if step.consumed < region.count { keeps = false }
        let data = unsafe UnsafeMutableRawBufferPointer(rebasing: region[..<step.produced])
        return unsafe (BodyPart(data, isLast: body.isDone, trailers: body.trailers), step.fault == nil)
    }

    /// Collects the head; what follows it in the same read stays where it is, in front of which there is room.
    private func readHead(_ fresh: UnsafeMutableRawBufferPointer, _ exchange: Exchange) {
        var region = unsafe fresh
        if inbound != nil {
            unsafe inbound!.append(UnsafeRawBufferPointer(fresh))
            let all = unsafe inbound.readable
            // Back into the inbox, so that there is one way on from here. It fits: a head has its bound.
            unsafe region = worker.rooms.inbox(limit: all.count)
            unsafe region.copyMemory(from: all)
        }
        var passed = 0
        // A request that has failed meanwhile has let go of this connection.
        while state == .busy, !isClosed {
            let outcome = unsafe worker.responseHead.parse(
                UnsafeRawBufferPointer(region), from: &scanned, requestMethod: exchange.request.method, limits: worker.responseLimits)
            switch outcome {
            case .incomplete: return unsafe keep(region)
            case .refused: return exchange.fail(.malformed)
            case .complete:
                scanned = 0
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: region[worker.responseHead.length...])
                if worker.responseHead.status >= 200 || worker.responseHead.isUpgrade {
                    inbound = nil
                    return unsafe answer(rest, exchange)
                }
                interimBytes += worker.responseHead.length
                guard interimBytes <= Limits.interimBytesMax else { return exchange.fail(.malformed) }
                if !worker.responseHead.keepAlive { ends = true }
                exchange.inform(worker.responseHead)
                // The next head may have come with it.
                unsafe region = rest
                if unsafe region.isEmpty {
                    inbound = nil
                    return
                }
                passed += 1
                if passed == Limits.interimPerTurn || exchange.answerRoom == 0 {
                    if holder !== exchange { return }
                    unsafe keep(region)
                    hasNewInbound = true
                    return loop.wake(self, [])
                }
            }
        }
    }

    /// Bytes of a head to come.
    private func keep(_ region: UnsafeMutableRawBufferPointer) {
        if inbound == nil { inbound = Buffer(capacity: region.count, from: loop.buffers) } else { inbound!.removeAll() }
        unsafe inbound!.append(UnsafeRawBufferPointer(region))
    }

    /// The final head is whole; `rest` is what has come behind it.
    private func answer(_ rest: UnsafeMutableRawBufferPointer, _ exchange: Exchange) {
        isTunnel = worker.responseHead.isUpgrade
        keeps = worker.responseHead.keepAlive && !isTunnel && !ends
        hasHead = true
        body.begin(isTunnel ? .untilClose : worker.responseHead.framing)
        hadNoBody = worker.responseHead.framing == .none
        if worker.responseHead.fields.present.contains(.keepAlive) { readKeepAlive() }
        let (first, isValid) = unsafe take(rest)
        if isTunnel { return exchange.switched(worker.responseHead, first) }
        if isValid { return exchange.answerHead(worker.responseHead, first) }
        // The client gets the head, and nothing after it that could look like an end.
        exchange.answerHead(worker.responseHead, .nothing)
        if holder === exchange { exchange.fail(.malformed) }
    }

    /// The server says for how long it keeps the connection: it is closed here before, or its end would meet a request.
    private func readKeepAlive() {
        guard let field = worker.responseHead.fields.first(.keepAlive),
            let seconds = unsafe KeepAlive.timeout(worker.responseHead[field.value])
        else { return }
        let time = seconds * 1_000_000_000
        keptFor = time - min(time / 2, Limits.keptMarginNanoseconds)
        if seconds == 0 { keeps = false }
    }

    // MARK: The end

    /// The exchange is done with it. Kept only when the next answer on it can't be mistaken for anything else.
    func release() {
        let isWhole = hasRequest && keeps && hasHead && body.isDone
        let now = loop.now
        if hasHead { address.standing.answered(at: now) }
        dropHolder()
        if inbound != nil { inbound = nil }
        scanned = 0
        (hasHead, chunks, hasRequest, isTunnel, keeps, isSlow) = (false, false, false, false, false, false)
        (interimBytes, hasNewInbound, ends, responseTimeout, isHeldByPace) = (0, false, false, 0, false)
        // A read that filled its room may have left bytes behind, which would be taken for the next answer.
        guard isWhole, !pool.isRetired, !canRead, !peerFinished, !isBroken, !isCongested, !worker.isDraining,
            tls?.hasPending != true
        else { return shut() }
        state = .idle
        isReused = true
        flow = loop.commonFlow
        idleSince = now
        loop.schedule(self, at: now + min(pool.idleTimeout, keptFor))
        pool.putIdle(self)
    }

    override func shut(abort: Bool = false) {
        if isClosed { return }
        if state == .idle, !isBroken, let tls { _ = finishEncrypted(tls) }
        dropHolder()
        dial = nil
        inbound = nil
        pool.forget(self)
        super.shut(abort: abort)
        tls = nil
    }

    private func dropHolder() {
        if holder == nil { return }
        holder = nil
        pool.inFlight -= 1
    }
}
