import Base
import Crypto
import HTTP
import Metrics
import Net
import Quotas
import Tenancy

/// One request, from its head to its settlement. This file tells the story; the extensions hold the details.
///
///     beginning ──refused──────────────────────────────────────► over
///         │  └─ set aside (nothing has happened: it begins anew)   ▲
///         ▼                                                        │
///     forwarding ◄──► waiting (in one line: name, place, connection)
///         │   ▲  │        └─ called, or its time is over ──────────┤
///         │   └──┘ retried once                                    │
///         ├─ no answer, no valid one: refused ─────────────────────┤
///         ├──► answering ── whole, or broken off ──────────────────┤
///         └──► tunnel ── each direction ends, or one side breaks ──┘
///
/// It lies between two ends, `ClientEnd` and `UpstreamEnd`, and knows nothing of their bytes: heads, parts of bodies, and
/// that one of them takes more, fails or is gone. Reused for request after request.
///
/// **Links.** A client's connection, its exchange, the upstream's connection and the lines that it waits in know each other
/// by counted references: none can dangle. And none is believed from one side: who comes with an event is heard only if
/// the exchange names it as its own at that moment (`upstream.is(connection)`, a ticket of the line that it stands in);
/// what is stale is counted (`gateway_stale_events_total`) and nothing else happens. `sever` cuts all of them, whatever
/// the phase; a client's connection that is shut, and whoever gives an exchange back, calls it.
final class Exchange {
    enum Phase {
        case beginning
        case forwarding
        /// In `line`.
        case waiting
        case answering
        case tunnel
        case over
    }

    let worker: Worker
    private(set) var client: ClientEnd
    private(set) var upstream: UpstreamEnd?
    /// The counted references to both: set and let go together with them, and nowhere else.
    private var clientObject: AnyObject
    private var upstreamObject: AnyObject?
    var phase = Phase.over
    /// What it waits in, and only then.
    var line: Line?
    /// All waiting of a request together ends then.
    var waitsUntil = UInt64.max
    var request = Request()
    var resolution = Resolution()
    var bill = Bill()
    var attempts = Attempts()
    /// Servers that could not be connected to since it was last sent. Empty but for those few moments.
    var tried: [ServerPool] = []
    var answer = Answer()
    private var kept = Kept()
    /// What it owes; nothing between two requests.
    var contention = Contention()
    /// What the access log says of the head.
    var noted = NotedHead()
    /// Of a body that comes in parts.
    var bodyRate = BodyRate()
    /// Of a request that wants an upgrade: the protocols that its client names.
    var askedProtocols: [UInt8] = []
    /// Of a WebSocket that HTTP/2 has asked for: what the server must show it understands.
    var webSocketKey: WebSocketKey?
    /// Empty between two requests.
    var detour = Detour()

    init(worker: Worker, client: ClientEnd) {
        (self.worker, self.client, clientObject) = (worker, client, client.object)
    }

    /// Makes it ready for another request.
    func reset(for client: ClientEnd) {
        (self.client, clientObject) = (client, client.object)
        (phase, waitsUntil) = (.beginning, .max)
        request = Request(started: worker.loop.now)
        (bill, attempts, answer) = (Bill(), Attempts(), Answer())
    }

    /// Over: holds on to nothing that others may want to free, but to the client's connection until another one comes.
    func letGo() {
        sever()
        assert(!attempts.owesOutcome, "what its last attempt has come to was not told")
        assert(!contention.isOwed, "a turn has no end")
        phase = .over
        resolution = Resolution()
        (attempts.pool, bill.admission) = (nil, nil)
        if !detour.flags.isEmpty { detour = Detour() }
        if !tried.isEmpty { tried.removeAll(keepingCapacity: true) }
    }

    /// The end of all its links and of what it keeps for sending: no event of an upstream or of a line reaches it any more.
    func sever() {
        stopWaiting()
        dropUpstream()
        kept.clear()
    }

    /// The connection is in no state to carry another request.
    /// - Parameter keeps: it may be, if it knows itself that its answer is over.
    func dropUpstream(abort: Bool = false, as outcome: AttemptOutcome = .abandoned, keeps: Bool = false) {
        unlinkUpstream { connection in
            attemptEnded(outcome)
            if keeps { connection.release() } else { connection.cancel(abort: abort) }
        }
    }

    /// It is not this exchange's any more, and is there until `body` has returned.
    private func unlinkUpstream(_ body: (UpstreamEnd) -> Void) {
        guard let connection = upstream else { return }
        let object = upstreamObject
        (upstream, upstreamObject) = (nil, nil)
        if contention.isOwed { endTurn() }
        withExtendedLifetime(object) { body(connection) }
    }

    // MARK: 1. Who is it for?

    /// Why a request goes no further for now, or at all.
    enum Halt: Error {
        /// The refusal is on its way.
        case refused
        /// It is to begin anew later; nothing has happened yet.
        case aside(Pause)
    }

    /// What a request waits for before it begins anew.
    enum Pause {
        /// The keys of its token's issuer, until that moment.
        case keys(until: UInt64)
        /// Whoever guesses credentials waits for each answer, which is a refusal.
        case guess
        /// The same where anybody may come: it is answered like any other request then.
        case openGuess
    }

    /// Resolves the tenant and the route of a head and writes what goes upstream, for `forward`.
    /// - Parameter pause: what it has waited for already.
    func begin(_ head: borrowing RequestHead, after pause: Pause?) throws(Halt) {
        let view = worker.view
        resolution.view = view
        request.take(head)
        if client.isH2 { takeCall(head) }
        // Ranges of the head, which stands until this returns: nobody reads meanwhile.
        let claim = claim(head, in: view)
        let standing = client.origin.standing(in: view)
        let trusted = standing.contains(.trusted)
        request.provenance = trusted ? view.snapshot.provenance(of: head) : nil
        nameRequest(head, trusted: trusted)
        if worker.accessLog != nil { noted.note(head, worker, client: request.provenance?.client) }

        if standing.contains(.onPlainListener), !isSecure { throw goToHTTPS(head, claim.owner, in: view) }
        let tenant = try identify(claim, head, after: pause, in: view)
        view.prefetch(tenant, key: resolution.identity?.key)
        attribute(to: tenant, in: view)
        if tenant.suspended { throw refuse(.tenantSuspended, "this service is suspended") }

        let route = try findRoute(head, of: tenant)
        resolution.route = route
        try admit(to: route, head, after: pause)
        if let requirements = route.requirements { try check(requirements, head) }
        if request.grpc?.isMalformed == true { throw refuse(.badRequest, "grpc-timeout is malformed") }
        if request.grpc == nil, let most = route.maxBody, case .length(let length) = head.framing, length > most { throw refuseBody() }
        if goesInCircles(head) { throw refuse(.badUpstream, "the request goes in circles") }
        if let state = resolution.tenant, state.follow({ $0.isBounded }) { try takeBounds(of: state.counted) }
        try reserve(route)
        if let acts = route.acts, try actsItself(acts, head, tenant, trusted: trusted) { return }
        guard let upstream = route.way.flatMap({ side(of: $0, head, tenant) }) ?? route.upstream else {
            throw refuse(.noHealthyUpstream, "no upstream")
        }
        resolution.balancer = worker.balancer(forUpstream: upstream, in: view)
        if let key = resolution.balancer!.follow({ $0.key }) { findKey(key, head, tenant) }
        guard writeRequestHead(head, tenant, route, trusted: trusted) else {
            throw refuse(.headersTooLarge, "the head is too large")
        }
        if let decision = detour.decision, !addToHead(decision.toUpstream) { throw refuse(.headersTooLarge, "the head is too large") }
    }

    /// From here on it is this tenant's, refused or not.
    func attribute(to tenant: Tenant, in view: WorkerView) {
        resolution.rules = view.quotas[tenant.index]
        let state = worker.state(of: tenant, in: view)
        resolution.tenant = state
        state.follow { client.attribute(to: $0) }
    }

    // MARK: 2. Where does it go?

    /// Sends the head that `begin` has written, and the part of the body that came with it, or waits for a connection.
    func forward(_ first: consuming BodyPart) {
        guard take(&first) else { return }
        if !request.isDone { request.isRepeatable = false }
        phase = .forwarding
        if !detour.flags.isEmpty, isDetained(first) { return }
        let result = resolution.balancer!.follow { $0.acquire(for: self) }
        switch result {
        case .connection:
            // What a server has surely not processed goes elsewhere, whatever it is.
            if request.isRepeatable || (request.isDone && upstream!.isH2) || mayArriveTwice { keep(first) }
            askForBody(after: first.count)
            upstream!.send(request.written, first)
            sent()
        case .later:
            keep(first)
            askForBody(after: first.count)
        case .refused: goOn(result)
        case .unreachable:
            if isKeptForConnecting { keep(first) }
            goOn(result)
        }
    }

    func keep(_ first: BodyPart) {
        unsafe kept.keep(head: worker.rooms.bytes(of: request.written), worker.loop.buffers)
        if request.hasBody || !first.isEmpty { kept.keep(first, worker.loop.buffers) }
    }

    /// `Expect: 100-continue` is answered here: by now the request is known to be welcome (RFC 9110 section 10.1.1).
    /// - Parameter count: bytes of it that have come already.
    func askForBody(after count: Int) {
        if request.isDone { return }
        bodyRate = BodyRate()
        bodyRate.sent(count)
        setClientDeadline()
        if count == 0 { client.askForBody() }
    }

    /// The client's one deadline, by what it is there for: waiting has its own, which nothing moves.
    func setClientDeadline() {
        let now = worker.loop.now
        let deadline: UInt64
        switch phase {
        case .waiting: deadline = waitsUntil
        case .tunnel: deadline = now + (answer.isDone ? Limits.halfTunnelIdleNanoseconds : Limits.tunnelIdleNanoseconds)
        case .answering where request.grpc != nil: deadline = .max
        default: deadline = request.isDone ? .max : bodyDeadline(now)
        }
        worker.loop.schedule(client.source, at: deadline)
    }

    /// This connection carries it from now on.
    func attempt(on connection: UpstreamEnd) {
        assert(upstream == nil && phase != .waiting, "it has a connection, or waits for one")
        (upstream, upstreamObject) = (connection, connection.object)
        assert(!attempts.owesOutcome, "what the attempt before this has come to was not told")
        attempts.pool = connection.pool
        if attempts.isBegun { attempts.isBegun = false } else { attempts.count += 1 }
        attempts.owesOutcome = true
    }

    /// An attempt at that server begins, with connecting to it.
    func begins(at pool: ServerPool) {
        attempts.pool = pool
        attempts.count += 1
        tried.append(pool)
    }

    /// It was none: there was no place for a connection.
    func leaves(_ pool: ServerPool) {
        attempts.count -= 1
        tried.removeAll { $0 === pool }
    }

    /// The attempt has come to this, or had come to something else before: then that was it.
    func attemptEnded(_ outcome: AttemptOutcome) {
        guard attempts.owesOutcome, let pool = attempts.pool else { return }
        attempts.owesOutcome = false
        resolution.balancer?.follow { $0.record(outcome, of: pool, for: self) }
        if attempts.isRetry { judgeRetry(outcome) }
    }

    /// The connection is there: what was kept goes out.
    func connected() {
        guard let upstream, kept.hasHead else { return }
        let first = takeOut(isLast: request.isDone)
        // A fresh connection does not end unasked: of what it carries only the head may be needed again.
        if upstream.isH2 ? !request.isDone : !goesAgain || (request.hasBody && !upstream.isReused && !keepsBody) { kept.clear() }
        if !request.isDone { setClientDeadline() }
        upstream.send(request.written, first)
        sent()
        if wantsRequest { worker.loop.wake(client.source, []) }
    }

    /// Copies of what is kept: it may go before the two are sent.
    func takeOut(isLast: Bool) -> BodyPart {
        unsafe worker.rooms.restore(kept.head)
        let first = unsafe BodyPart(worker.rooms.inbox(limit: kept.body.count), isLast: isLast, trailers: kept.trailers)
        unsafe first.data.copyMemory(from: kept.body)
        return first
    }

    /// Bytes of the body that are kept.
    var keptCount: Int { unsafe kept.body.count }

    /// Puts lines behind the first one of the head that is kept. False where there is no room for them.
    func addToKept(_ lines: [UInt8]) -> Bool {
        if lines.isEmpty { return true }
        unsafe worker.rooms.restore(kept.head)
        guard addToHead(lines) else { return false }
        unsafe kept.keep(head: worker.rooms.bytes(of: request.written), worker.loop.buffers)
        return true
    }

    private var goesAgain: Bool { request.isRepeatable || mayArriveTwice }

    func sent() {
        attempts.sentAt = worker.loop.now
        attempts.sendings += 1
        (waitsUntil, attempts.dialsUntil) = (.max, 0)
        if !tried.isEmpty { tried.removeAll(keepingCapacity: true) }
        // A broken one reports itself through its events, and then it is known whether an answer had come.
        if request.isDone { return expectAnswer() }
        if upstream?.isCongested == true {
            expectAnswer()
            holdClient()
        }
    }

    @inline(__always)
    func expectAnswer() {
        if phase == .forwarding { upstream?.expectAnswer(within: responseTimeout) }
    }

    /// Nanoseconds that an upstream may take for its next bytes.
    var responseTimeout: UInt64 {
        if let call = request.grpc { return callTimeout(call) }
        return upstreamTimeout
    }

    var upstreamTimeout: UInt64 {
        resolution.route?.responseTimeout ?? resolution.balancer?.follow { $0.responseTimeout }
            ?? 30_000_000_000
    }

    /// It is there to be sent, again or at last.
    var isKept: Bool { kept.hasHead }

    // MARK: 3. The end

    /// The whole answer is sent or kept for sending.
    func finish() {
        phase = .over
        kept.clear()
        unlinkUpstream { $0.release() }
        settle()
        client.finished()
    }

    /// The answer can't be completed: the client must see that.
    func breakOff() {
        sever()
        phase = .over
        settle()
        client.breakOff()
    }

    /// The client's connection has ended, in whatever phase this is.
    func clientGone() {
        sever()
        if answer.status == 0 { answer.status = 499 }
        // CANCELLED, as gRPC calls it.
        if request.grpc != nil, answer.grpcStatus == nil { answer.grpcStatus = 1 }
        settle()
        letGo()
    }

    func clientTimedOut() {
        if !request.isDone, client.room > 0, phase == .forwarding || phase == .answering, goesOn(worker.loop.now) { return }
        switch phase {
        case .waiting: endWaiting()
        case .answering, .tunnel: breakOff()
        case .beginning, .forwarding:
            // It does not take what came before its answer.
            if client.room == 0 { return breakOff() }
            if request.isDone { return }
            dropUpstream()
            refuse(.timeout, bodyRate.isSlow ? "the request body comes too slowly" : "the request body did not arrive in time")
        case .over: break
        }
    }

    /// Usage is recorded. Nobody waits for this.
    func settle() {
        if bill.isSettled { return }
        bill.isSettled = true
        if contention.isOwed { giveBackAll() }
        if bill.isFree { return }
        worker.record(self)
    }
}

extension Exchange.Phase {
    /// It is too late for an answer of the gateway's own.
    var hasAnswer: Bool {
        switch self {
        case .beginning, .forwarding, .waiting: false
        case .answering, .tunnel, .over: true
        }
    }
}
