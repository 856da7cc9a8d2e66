import Base
import Crypto
import HTTP
import Metrics
import Net
import Tenancy

/// A client's HTTP/1 connection: TLS if the listener has it, then one request after another.
///
///     handshake ──► head ◄──► exchange ──► tunnel
///         │          │           │           │
///         └──────────┴──► linger ┴───────────┴──► closed
///
/// *head*: reads until a request head is whole. *exchange*: one request is under way; its body is read as the upstream
/// takes it. *linger*: the last answer is sent; what still comes is dropped, so that no reset destroys the answer.
final class ClientConnection: Transport {
    enum Phase { case handshake, head, paused, exchange, tunnel, linger }

    /// Why a request waits before it is looked at again.
    enum Pause { case keys, guess }

    private let metrics: ListenerMetrics
    let peer: SocketAddress
    /// The same as text, written once.
    let peerText: AddressText
    private(set) var phase: Phase
    private var exchange: Exchange?
    /// Received and not yet used: a head in parts, or requests sent ahead.
    private var inbound: Buffer?
    private var scanned = 0
    /// `inbound` holds bytes past the last request that were not looked at yet.
    private var hasNewInbound = false
    /// The tenant that the TLS server name names; nil without TLS or when nobody has that name.
    var namedTenant: String? {
        // Whose name it is may change with a reload, on open connections as well.
        if namedAt != worker.lease.number, let name = tls?.serverName {
            namedAt = worker.lease.number
            named = name.isEmpty ? nil : worker.snapshot.directory.tenant(host: name)?.id
        }
        return named
    }
    private var named: String?
    private var namedAt = -1
    /// In the handshake: waits for its tenant's turn.
    private var isNamed = false
    private let listener: ListenerState
    /// What the client presented in its TLS handshake.
    private var presented: PresentedCertificate?
    /// The same, while it is good.
    var certificate: ClientCertificate? { presented?.current(in: worker.lease, now: worker.wall(loop.now) / 1_000_000_000) }
    /// It was good once: a new handshake may bring another.
    var hasLapsedCertificate: Bool { presented != nil && certificate == nil }
    private var requests = 0
    /// What the next request has waited for already.
    private(set) var paused: Pause?
    /// The end of the next request's time to wait for keys, once that has begun.
    private var keysUntil: UInt64 = 0
    var mayWaitForKeys: Bool { loop.now < keysUntil }
    private var closesWhenSent = false
    /// Requests of it are refused by limits: it is read again only after a while.
    private var hold = Hold()
    private var lingerUntil: UInt64 = 0

    init(worker: Worker, fd: Int32, peer: SocketAddress, listener: Listener) {
        (metrics, self.listener) = (listener.metrics, listener.state)
        self.peer = peer
        peerText = AddressText(peer)
        phase = .head
        super.init(worker: worker, fd: fd, flow: worker.flow(forStranger: peer))
        if let context = listener.state.tls {
            tls = TLSSession(listener: context, io: worker.tls)
            phase = .handshake
        }
    }

    /// Without a TLS session where there must be one, nothing can be said on it.
    var canBegin: Bool { phase == .head || tls != nil }

    /// Starts its clock.
    func begin() {
        metrics.opened()
        loop.schedule(self, at: loop.now + (phase == .handshake ? Limits.handshakeNanoseconds : worker.limits.headerTimeout))
    }

    var isSecure: Bool { tls != nil }

    // MARK: Events

    override func ready(_ events: Readiness) {
        note(events)
        if isBroken { return shut() }
        if isCongested {
            guard flush() else { return isBroken ? shut() : () }
            if closesWhenSent { return finishSending() }
            if phase == .head, worker.isDraining { return close() }
            if phase == .head { loop.schedule(self, at: loop.now + worker.limits.idleTimeout) }
            exchange?.clientDrained()
        }
        switch phase {
        case .handshake: shakeHands()
        case .head: readHead()
        case .paused: break
        case .exchange: readBody()
        case .tunnel: readTunnel()
        case .linger: dropInput()
        }
    }

    override func expired() {
        if isCongested, phase != .tunnel, exchange?.waiting.isWaiting != true, takesWhatItIsSent() {
            return loop.schedule(self, at: loop.now + worker.limits.bodyTimeout)
        }
        switch phase {
        case .handshake:
            worker.metrics.handshake(.none, resumed: false, .timeout)
            shut()
        case .head:
            if hold.until > 0 {
                hold.end()
                loop.schedule(self, at: loop.now + worker.limits.idleTimeout)
                return loop.wake(self, [])
            }
            // Between requests a quiet end is what everybody expects; a head begun deserves an answer.
            if inbound != nil, !isCongested { refuse(.timeout, "the request head did not arrive in time") } else { shut() }
        case .paused: resume(from: paused)
        case .exchange: exchange?.clientTimedOut()
        case .tunnel, .linger: shut()
        }
    }

    /// Its request, if there is one, ends with it, in whatever phase.
    override func shut(abort: Bool = false) {
        if isClosed { return }
        let last = exchange
        metrics.closed(active: last != nil)
        exchange = nil
        inbound = nil
        super.shut(abort: abort)
        last?.clientGone()
        // An exchange that is kept for the next request may keep this one as well: nothing secret stays with it.
        (tls, presented) = (nil, nil)
        worker.forget(self)
    }

    // MARK: TLS

    private func shakeHands() {
        guard let tls else { return }
        if isNamed {
            isNamed = false
            guard goOn(tls, tls.resumeHandshake()) else { return }
        }
        guard canRead else { return }
        let count = recvCipher(atMost: Limits.handshakeReadSize)
        guard count > 0 else { return }
        tls.receive(UnsafeRawBufferPointer(start: worker.cipher, count: count))
        guard goOn(tls, tls.handshake()) else { return }
        if canRead { loop.wake(self, []) }
    }

    /// Whether the handshake waits for more from the client.
    private func goOn(_ tls: TLSSession, _ step: TLSSession.Handshake) -> Bool {
        switch step {
        case .wantsMore:
            if flushEncrypted() { return true }
            shut()
        case .named:
            // The costly part of a handshake takes the turn of the tenant whose name the client asked for.
            guard let tenant = worker.snapshot.directory.tenant(host: tls.serverName) else {
                return goOn(tls, tls.resumeHandshake())
            }
            flow = worker.state(of: tenant, in: worker.lease).takeUnretainedValue()
            isNamed = true
            loop.wake(self, [])
        case .failed:
            flushEncrypted()
            worker.metrics.handshake(.none, resumed: false, .failure)
            shut()
        case .done: handshakeDone(tls)
        }
        return false
    }

    private func handshakeDone(_ tls: TLSSession) {
        worker.metrics.handshake(tls.isVersion13 ? .v1_3 : .v1_2, resumed: tls.isResumed, .success)
        presented = tls.clientCertificate.map { PresentedCertificate($0, on: listener.endpoint) }
        phase = .head
        loop.schedule(self, at: loop.now + worker.limits.headerTimeout)
        // The first request often comes in the same segment as the end of the handshake; the ticket then leaves with its
        // answer instead of alone. In TLS 1.2 it may be our end of the handshake (RFC 7918), which must not wait.
        let room = worker.inbox(limit: Limits.headReadSize)
        switch tls.read(into: room) {
        case .bytes(let count):
            received(UnsafeMutableRawBufferPointer(start: room.baseAddress, count: count))
            if isClosed { return }
            if phase == .exchange, tls.isVersion13 { holdEncrypted() } else { flushEncrypted() }
            if canRead { loop.wake(self, []) }
        case .wantsMore:
            guard flushEncrypted() else { return shut() }
            if canRead { readHead() }
        case .closed, .failed: shut()
        }
    }

    // MARK: Request heads

    /// Bytes that a read may take from the kernel before anybody wants them.
    private var aheadMax: Int { tls == nil ? Limits.headReadSize : Limits.headCipherSize }

    /// Reads until one request has begun. The next one is looked at only when its answer is on its way.
    private func readHead() {
        if isCongested || hold.until > loop.now { return }
        if parseKept() { return }
        // What is kept and was not looked at yet comes first: a client that sends requests ahead fills no memory.
        while canRead, phase == .head, !hasNewInbound, !isClosed {
            // What is kept already, and what comes with it, is one head's worth together.
            let room = worker.inbox(limit: max(aheadMax - inbound.readable.count, Limits.headReadSizeMin))
            switch receive(into: room) {
            case .bytes(let count): received(UnsafeMutableRawBufferPointer(start: room.baseAddress, count: count))
            case .nothing: return
            case .end, .failed: return shut()
            }
        }
    }

    /// What was kept may hold a whole head already. True when it led to something.
    private func parseKept() -> Bool {
        guard inbound != nil, hasNewInbound else { return false }
        let region = UnsafeMutableRawBufferPointer(mutating: inbound.readable)
        return parse(region, kept: true)
    }

    private func received(_ fresh: UnsafeMutableRawBufferPointer) {
        if inbound != nil {
            inbound!.append(UnsafeRawBufferPointer(fresh))
            _ = parse(UnsafeMutableRawBufferPointer(mutating: inbound.readable), kept: true)
        } else {
            _ = parse(fresh, kept: false)
        }
    }

    /// - Parameter kept: the bytes are those of `inbound`.
    private func parse(_ region: UnsafeMutableRawBufferPointer, kept: Bool) -> Bool {
        hasNewInbound = false
        switch worker.requestHead.parse(UnsafeRawBufferPointer(region), from: &scanned, limits: worker.requestLimits) {
        case .incomplete:
            if !kept {
                inbound = Buffer(capacity: region.count, from: loop.buffers)
                inbound!.append(UnsafeRawBufferPointer(region))
                // From the first byte of a head on, the time for all of it runs.
                if requests > 0 { loop.schedule(self, at: loop.now + worker.limits.headerTimeout) }
            }
            return false
        case .refused(let fault):
            refuse(Refusal(parserStatus: fault.status), fault.reason, status: fault.status)
            return true
        case .complete:
            scanned = 0
            requests += 1
            begin(region, kept: kept)
            return true
        }
    }

    /// A whole head stands at the front of `region`; `worker.requestHead` has taken it apart.
    private func begin(_ region: UnsafeMutableRawBufferPointer, kept: Bool) {
        let length = worker.requestHead.length
        let head = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[..<length])
        let exchange = worker.takeExchange(for: self)
        self.exchange = exchange
        phase = .exchange
        metrics.requestBegan()
        loop.schedule(self, at: .max)
        guard exchange.begin(head) else {
            if let reason = exchange.setAside { return pause(reason, region, kept: kept) }
            paused = nil
            // Refused; the answer is on its way. What else has come is the next request, if there is to be one.
            if !isClosed, phase != .linger { keepRest(of: region, from: length, kept: kept) }
            return endOfRefusal()
        }
        paused = nil
        // The body, or its first part, must stand where there is room in front of it.
        let rest = UnsafeMutableRawBufferPointer(rebasing: region[length...])
        var body = rest
        if kept, exchange.hasBody, !rest.isEmpty {
            body = worker.inbox(limit: rest.count)
            body.copyMemory(from: UnsafeRawBufferPointer(rest))
        } else if !kept, tls == nil, canRead, exchange.bodyAhead > UInt64(rest.count) {
            body = withItsPlace(of: length, behind: rest, most: exchange.bodyAhead)
        }
        exchange.start(body: body) { [self] used in keepRest(of: region, from: length + used, kept: kept) }
        // The read that brought the head may have left part of the body in the kernel, and no event will tell of it.
        if canRead, self.exchange === exchange, exchange.wantsBody { loop.wake(self, []) }
    }

    /// A head has taken some of the first read's room from its body: as much of that is read on, so that a body of a head's
    /// worth goes on in one piece. All of it is this request's.
    private func withItsPlace(
        of length: Int, behind rest: UnsafeMutableRawBufferPointer, most: UInt64
    ) -> UnsafeMutableRawBufferPointer {
        let missing = Int(min(most - UInt64(rest.count), UInt64(length)))
        guard let start = rest.baseAddress,
            case .bytes(let count) = receive(into: UnsafeMutableRawBufferPointer(start: start + rest.count, count: missing))
        else {
            // An end is told again at the next read.
            canRead = canRead || peerFinished
            return rest
        }
        return UnsafeMutableRawBufferPointer(start: start, count: rest.count + count)
    }

    /// Puts the request back, to be taken anew when what it waits for has come, or its time is over.
    private func pause(_ reason: Pause, _ region: UnsafeMutableRawBufferPointer, kept: Bool) {
        guard let exchange else { return }
        self.exchange = nil
        metrics.requestEnded()
        worker.giveBack(exchange)
        if !kept { keepAhead(UnsafeRawBufferPointer(region)) }
        phase = .paused
        if reason == .keys, paused == nil { keysUntil = loop.now + Limits.keyWaitNanoseconds }
        paused = reason
        loop.schedule(self, at: reason == .keys ? keysUntil : loop.now + GuessDamper.delay)
    }

    /// Takes up the request that waits for that.
    func resume(from reason: Pause?) {
        guard phase == .paused, paused == reason else { return }
        phase = .head
        hasNewInbound = true
        loop.schedule(self, at: loop.now + worker.limits.headerTimeout)
        loop.wake(self, [])
    }

    /// Bytes past the request's end are the next one's.
    private func keepRest(of region: UnsafeMutableRawBufferPointer, from offset: Int, kept: Bool) {
        if kept {
            guard inbound != nil else { return }
            inbound!.consume(offset)
            if inbound.readable.isEmpty { inbound = nil } else { hasNewInbound = true }
        } else if offset < region.count {
            keepAhead(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[offset...]))
        }
    }

    private func keepAhead(_ bytes: UnsafeRawBufferPointer) {
        inbound = Buffer(capacity: bytes.count, from: loop.buffers)
        inbound!.append(bytes)
        hasNewInbound = true
    }

    // MARK: Request bodies

    private func readBody() {
        guard let exchange else { return }
        if !exchange.requestIsDone {
            while canRead, !isClosed, self.exchange === exchange, phase == .exchange, exchange.wantsBody {
                // What comes behind the body is kept: no more of that than a head's worth.
                let body = Int(min(exchange.bodyAhead, UInt64(Limits.readSize)))
                let room = worker.inbox(limit: min(body + aheadMax, Limits.readSize))
                switch receive(into: room) {
                case .bytes(let count):
                    let region = UnsafeMutableRawBufferPointer(start: room.baseAddress, count: count)
                    exchange.requestBody(region) { [self] used in
                        if used < count { keepAhead(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[used...])) }
                    }
                    if canRead, self.exchange === exchange {
                        loop.wake(self, [])
                        return
                    }
                case .nothing: return
                case .end, .failed: return shut()
                }
            }
            return
        }
        // Nothing is read ahead, but a client that has gone is noticed: its work stops.
        if peerFinished, self.exchange === exchange { shut() }
    }

    // MARK: Tunnels

    func becomeTunnel() {
        phase = .tunnel
        loop.schedule(self, at: loop.now + Limits.tunnelIdleNanoseconds)
        // What came before the answer was left in the kernel, and no event tells of it again.
        if canRead { loop.wake(self, []) }
        guard inbound != nil else { return }
        exchange?.tunnelFromClient(inbound.readable)
        inbound = nil
    }

    private func readTunnel() {
        guard let exchange else { return }
        while canRead, !isClosed, exchange.wantsBody {
            let room = worker.inbox(limit: Limits.readSize)
            switch receive(into: room) {
            case .bytes(let count):
                loop.schedule(self, at: loop.now + Limits.tunnelIdleNanoseconds)
                exchange.tunnelFromClient(UnsafeRawBufferPointer(start: room.baseAddress, count: count))
                if canRead, !isClosed {
                    loop.wake(self, [])
                    return
                }
            case .nothing: return
            case .end: return exchange.tunnelClientEnded()
            case .failed: return shut()
            }
        }
    }

    // MARK: The end of an exchange

    /// The answer is sent (or kept for sending) and the exchange over.
    func exchangeDone(keepAlive: Bool) {
        guard let done = exchange else { return }
        exchange = nil
        metrics.requestEnded()
        let verdict = done.verdict
        let passed = done.admission != nil && verdict.isAdmitted
        worker.giveBack(done)
        guard keepAlive, !worker.isDraining, !peerFinished || inbound != nil else { return close() }
        phase = .head
        // The time of a client that does not take its answer is not idle time.
        if passed { hold.admitted() } else if !verdict.isAdmitted, !isCongested { hold.refused(verdict, now: loop.now) }
        if hold.until > 0 { return loop.schedule(self, at: hold.until) }
        loop.schedule(self, at: loop.now + (isCongested ? worker.limits.bodyTimeout : worker.limits.idleTimeout))
        if inbound != nil || canRead { loop.wake(self, []) }
    }

    private func endOfRefusal() {
        if !isClosed, phase == .head, inbound != nil || canRead { loop.wake(self, []) }
    }

    /// Closes once everything is sent.
    func close() {
        if isClosed { return }
        phase = .linger
        if let tls {
            guard finishEncrypted(tls) else { return shut() }
        }
        closesWhenSent = true
        if isCongested {
            loop.schedule(self, at: loop.now + worker.limits.bodyTimeout)
        } else {
            finishSending()
        }
    }

    private func finishSending() {
        // Nothing unread: an ordinary close. Otherwise the kernel would send a reset, which overtakes the answer.
        if !canRead, inbound == nil, !mayStillSend { return shut() }
        Socket.finishSending(fd)
        inbound = nil
        phase = .linger
        lingerUntil = loop.now + Limits.lingerNanoseconds
        loop.schedule(self, at: lingerUntil)
        dropInput()
    }

    /// The client may be in the middle of a body that nobody wants.
    var mayStillSend = false

    private func dropInput() {
        guard canRead, !isClosed, recvCipher(atMost: Worker.cipherSize) > 0 else { return }
        if canRead { loop.wake(self, []) }
    }

    /// Reads raw bytes. Zero or less: nothing more for now, or the connection is closed by now.
    private func recvCipher(atMost limit: Int) -> Int {
        switch receiveRaw(atMost: limit) {
        case .bytes(let count): return count
        case .nothing: return 0
        case .end, .failed:
            if phase == .handshake { worker.metrics.handshake(.none, resumed: false, .failure) }
            shut()
            return -1
        }
    }

    /// The answer can't be completed. A reset, so that nobody takes the part that was sent for the whole.
    func abortExchange() { shut(abort: true) }

    /// The client has broken the connection under its answer.
    func answerUndeliverable() { shut() }

    // MARK: Refusals before there is an exchange

    private func refuse(_ problem: Refusal, _ detail: StaticString, status: UInt16? = nil) {
        let exchange = worker.takeExchange(for: self)
        self.exchange = exchange
        metrics.requestBegan()
        phase = .exchange
        mayStillSend = true
        exchange.refuseUnparsed(problem, detail, status: status)
    }

    // MARK: Control

    /// Closes if no request is under way; otherwise after it.
    func retire() {
        switch phase {
        case .handshake, .paused, .linger: break
        case .head:
            if inbound == nil, !isCongested { close() }
        case .exchange: exchange?.keepAlive = false
        case .tunnel: break
        }
    }

    /// Its tenant is gone.
    func revoke() {
        switch phase {
        case .exchange: exchange?.keepAlive = false
        case .tunnel: shut()
        default: close()
        }
    }
}

/// A numeric address as text, at hand for every request.
struct AddressText {
    private var bytes = InlineArray<48, UInt8>(repeating: 0)
    private var count = 0

    init(_ address: SocketAddress) {
        withUnsafeTemporaryAllocation(byteCount: 48, alignment: 1) { room in
            var writer = ByteWriter(room)
            address.writeHost(to: &writer)
            for i in 0..<writer.count { bytes[i] = room[i] }
            count = writer.count
        }
    }

    func write(to writer: inout ByteWriter) {
        bytes.span.withUnsafeBytes { writer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}
