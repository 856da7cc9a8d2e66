import Base
import HTTP
import Metrics
import Net
import Quotas
import Tenancy

/// One request, from its head to its settlement. This file tells the story; the extensions hold the details.
///
///     begin ── refused ───────────────────────────────► settle
///       │
///     start ─► waiting (for a name, a place, a connection) ── timeout, failure ─► retry once or refuse
///       │         │
///       └─────────┴─► sending ─► answering ─► done ─► settle
///                        │           │
///                        │           └─ 101 ─► tunnel ─► settle
///                        └─ cut, timeout ─► retry once, refuse; after the answer began: break the client's transfer
///
/// Belongs to a client connection's framing through `ClientConnection` and to an upstream's through `UpstreamConnection`;
/// knows nothing of either one's bytes on the wire but heads and bodies. Reused for request after request.
///
/// **Links.** A client's connection, its exchange, the upstream's connection and the lines that it waits in know each other
/// by counted references: none can dangle. And none is believed from one side: who comes with an event is heard only if
/// the exchange names it as its own at that moment (`upstream === connection`, a ticket of the line that it stands in);
/// what is stale is counted (`gateway_stale_events_total`) and nothing else happens. `sever` cuts all of them, whatever
/// the flags say; a client's connection that is shut, and whoever gives an exchange back, calls it.
final class Exchange {
    let worker: Worker
    private(set) var client: ClientConnection
    private(set) var upstream: UpstreamConnection?
    /// What it waits for before it has a connection.
    private(set) var waiting = Waiting.nothing
    /// All waiting of a request together ends then.
    private var waitsUntil = UInt64.max
    /// Of the configuration this request began under: what follows lives as long as it is held.
    private(set) var lease: Lease?
    /// The lease keeps it.
    private(set) var balancer: Unmanaged<Balancer>?
    /// The worker keeps it, as long as the process lives.
    private(set) var tenantState: Unmanaged<TenantState>?
    var tenantMetrics: Unmanaged<TenantMetrics>? { tenantState?._withUnsafeGuaranteedRef { $0.metrics } }
    private(set) var route: Route?
    /// What its credentials show; nil where none are asked for.
    var identity: Identity?
    /// `begin` wants to be called again, for the reason given; nothing has happened yet.
    var setAside: ClientConnection.Pause?
    /// The host, while a refusal that names it is written.
    var realm: UnsafeRawBufferPointer?

    // The request
    var method = Method.get
    var isHTTP10 = false
    /// The client's connection may go on after this request.
    var keepAlive = false
    var wantsUpgrade = false
    var expectsContinue = false
    var hasBody = false
    var requestIsDone = false
    var requestRemaining: UInt64 = 0
    var requestDecoder: ChunkedDecoder?
    var requestBytes: UInt64 = 0
    /// The head as it goes to the upstream: kept while a retry is possible or the connection is not there yet.
    var head: Buffer?
    /// The first part of the body, while the connection is not there yet.
    var heldBody: Buffer?
    var requestID = RequestID()
    var trace = TraceContext()

    // What it takes of its tenant's limits
    private(set) var quota: TenantQuota?
    var admission: Admission?
    var verdict = Verdict()
    /// What the upstream says that it has cost.
    var declaredCost: UInt64?
    /// The answer's next part is read only then: monotonic nanoseconds.
    var pacedUntil: UInt64 = 0
    private var isSettled = false

    // The answer
    var answerHasBegun = false
    var answerIsDone = false
    var answerRemaining: UInt64 = 0
    var answerFraming = BodyFraming.none
    var answerDecoder: ChunkedDecoder?
    var answerKeepsUpstream = false
    /// Towards the client: chunked, because the length is not known.
    var chunksAnswer = false
    var interimAnswers = 0
    var isTunnel = false
    var status: UInt16 = 0
    var refusal: Refusal?
    var responseBytes: UInt64 = 0

    // Attempts
    var attempts = 0
    private var triedPool: ServerPool?

    // Times, monotonic nanoseconds
    var started: UInt64 = 0
    var sentAt: UInt64 = 0
    var answeredAt: UInt64 = 0
    /// What the access log says of the head.
    var noted = NotedHead()

    init(worker: Worker, client: ClientConnection) {
        (self.worker, self.client) = (worker, client)
    }

    /// The server of the last attempt.
    var serverLabel: String? { triedPool?.server.label }

    /// Over: holds on to nothing that others may want to free, but to the client's connection until another one comes.
    func letGo() {
        sever()
        (balancer, tenantState, route, triedPool, lease) = (nil, nil, nil, nil, nil)
        (requestDecoder, answerDecoder, admission, quota) = (nil, nil, nil, nil)
        identity = nil
    }

    /// The end of all its links and of what it keeps for sending: no event of an upstream or of a line reaches it any more.
    func sever() {
        stopWaiting()
        dropUpstream()
        head = nil
        heldBody = nil
    }

    /// The connection is in no state to carry another request.
    func dropUpstream(abort: Bool = false) {
        guard let connection = upstream else { return }
        upstream = nil
        connection.shut(abort: abort)
    }

    /// Makes it ready for another request.
    func reset(for client: ClientConnection) {
        self.client = client
        (wantsUpgrade, expectsContinue, hasBody, requestIsDone, isTunnel) = (false, false, false, false, false)
        (answerHasBegun, answerIsDone, answerKeepsUpstream, chunksAnswer) = (false, false, false, false)
        (requestBytes, responseBytes, requestRemaining, answerRemaining) = (0, 0, 0, 0)
        (attempts, interimAnswers, status, refusal) = (0, 0, 0, nil)
        (sentAt, answeredAt, waitsUntil) = (0, 0, .max)
        (admission, verdict, declaredCost, pacedUntil, isSettled) = (nil, Verdict(), nil, 0, false)
        started = worker.loop.now
        trace = TraceContext()
    }

    // MARK: 1. Who is it for?

    /// Resolves the tenant and the route of the head in `worker.requestHead` and writes what goes upstream. False when the
    /// request was refused.
    func begin(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let lease = worker.lease
        self.lease = lease
        method = worker.requestHead.method
        isHTTP10 = worker.requestHead.version == .http10
        keepAlive = worker.requestHead.keepAlive
        expectsContinue = worker.requestHead.expectsContinue
        wantsUpgrade = worker.requestHead.wantsUpgrade
        switch worker.requestHead.framing {
        case .none, .untilClose: break
        case .length(let length):
            hasBody = length > 0
            requestRemaining = length
        case .chunked:
            hasBody = true
            requestDecoder = ChunkedDecoder()
        }
        requestIsDone = !hasBody
        setAside = nil
        let claim = claim(bytes, in: lease)
        let trusted = lease.snapshot.trusts(client.peer)
        nameRequest(bytes, trusted: trusted)
        if worker.accessLog != nil { noted.note(bytes, worker, client: trusted ? realClient(bytes) : nil) }

        guard let tenant = identify(claim, bytes, in: lease, trusted: trusted) else { return false }
        lease.prefetch(tenant, key: identity?.key)
        attribute(to: tenant, in: lease)
        if tenant.suspended { return refuse(.tenantSuspended, "this service is suspended") }

        guard let route = findRoute(bytes[worker.requestHead.path], of: tenant) else {
            return refuse(.badRequest, "ambiguous path")
        }
        self.route = route
        guard isAdmitted(to: route, bytes, trusted: trusted) else { return false }
        if let most = route.maxBody, requestRemaining > most { return refuse(.contentTooLarge, "the body is larger than allowed") }
        if passedHere(bytes) > Limits.hopsMax { return refuse(.badUpstream, "the request goes in circles") }
        guard let upstream = route.upstream else { return refuse(.noHealthyUpstream, "no upstream") }
        guard admit(tenant, route) else { return false }
        balancer = worker.balancer(forUpstream: upstream, in: lease)
        guard writeRequestHead(bytes, tenant, route, trusted: trusted) else { return refuse(.headersTooLarge, "the head is too large") }
        return true
    }

    /// From here on it is this tenant's, refused or not.
    func attribute(to tenant: Tenant, in lease: Lease) {
        quota = lease.quotas[tenant.index]
        let state = worker.state(of: tenant, in: lease)
        tenantState = state
        state._withUnsafeGuaranteedRef { client.flow = $0 }
    }

    // MARK: 2. Where does it go?

    /// Sends the head that `begin` has written, and the part of the body that came with it, or waits for a connection.
    /// - Parameters:
    ///   - body: stands in the worker's inbox, with room in front and behind. May hold the next request as well.
    ///   - keepRest: called with the number of bytes that belong to this request, before any of them is overwritten.
    func start(body: UnsafeMutableRawBufferPointer, keepRest: (Int) -> Void) {
        let first = encodeRequestBody(body, keepRest: keepRest)
        guard let first else { return }
        switch balancer!._withUnsafeGuaranteedRef({ $0.acquire(for: self) }) {
        case .connection(let connection):
            if mayRetryOnceSent { keepHead() }
            askForBody(after: first)
            connection.send(joined(worker.headWritten, first))
            sent(on: connection)
        case .later:
            keepHead()
            if !first.isEmpty {
                heldBody = Buffer(capacity: first.count, from: worker.loop.buffers)
                heldBody!.append(first)
            }
            askForBody(after: first)
        case .refused(let problem):
            _ = refuse(problem, "no server is available")
        }
    }

    private func keepHead() {
        let written = worker.headWritten
        head = Buffer(capacity: written.count, from: worker.loop.buffers)
        head!.append(written)
    }

    /// `Expect: 100-continue` is answered here: by now the request is known to be welcome (RFC 9110 section 10.1.1).
    private func askForBody(after first: UnsafeRawBufferPointer) {
        guard !requestIsDone else { return }
        setClientDeadline()
        guard expectsContinue, first.isEmpty, !isHTTP10 else { return }
        let line: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"
        client.send(UnsafeRawBufferPointer(start: line.utf8Start, count: line.utf8CodeUnitCount))
    }

    /// The client's one deadline, by what it is there for: waiting has its own, which nothing moves.
    func setClientDeadline() {
        let now = worker.loop.now
        let deadline: UInt64
        if waiting.isWaiting {
            deadline = waitsUntil
        } else if isTunnel {
            deadline = now + Limits.tunnelIdleNanoseconds
        } else {
            deadline = requestIsDone ? .max : now + worker.limits.bodyTimeout
        }
        worker.loop.schedule(client, at: deadline)
    }

    // MARK: Waiting

    /// The one line that it stands in, and its place there.
    enum Waiting {
        case nothing
        /// Every server has as many connections as it may have.
        case place(Balancer, WaitingLine<Exchange>.Ticket)
        /// Its server's name is being looked up.
        case name(Server, WaitingLine<Exchange>.Ticket)

        var isWaiting: Bool { if case .nothing = self { false } else { true } }
    }

    /// It stands in a line from now on, until it is called or its time is over.
    /// - Parameter patience: how long in this line. A second line never lengthens what is left of a first one's.
    func waits(_ line: Waiting, atMost patience: UInt64) {
        assert(!waiting.isWaiting && upstream == nil, "it waits already, or need not")
        waiting = line
        waitsUntil = min(waitsUntil, worker.loop.now + patience)
        setClientDeadline()
    }

    /// The line calls it, and has let go of it. False when it is not this ticket that it waits with: it has left meanwhile.
    func isCalled(_ ticket: WaitingLine<Exchange>.Ticket) -> Bool {
        switch waiting {
        case .place(_, ticket), .name(_, ticket):
            waiting = .nothing
            return true
        default:
            worker.metrics.staleEvents.add()
            return false
        }
    }

    /// What it got for its waiting: a connection, an attempt to connect, another line, or nothing.
    func acquired(_ result: Balancer.Acquired) {
        setClientDeadline()
        switch result {
        case .connection: connected()
        case .later: break
        case .refused(let problem): _ = refuse(problem, "no server is available")
        }
    }

    /// Leaves the line that it stands in.
    private func stopWaiting() {
        switch waiting {
        case .nothing: return
        case .place(let balancer, let ticket): balancer.stopWaiting(ticket)
        case .name(let server, let ticket): worker.stopWaiting(for: server, ticket)
        }
        waiting = .nothing
    }

    /// This connection carries it from now on.
    func attempt(on connection: UpstreamConnection) {
        assert(upstream == nil && !waiting.isWaiting, "it has a connection, or waits for one")
        upstream = connection
        triedPool = connection.pool
        attempts += 1
    }

    /// The connection is there: what was kept goes out.
    func connected() {
        guard let upstream else { return }
        if head != nil { upstream.send(head.readable) }
        if heldBody != nil {
            upstream.send(heldBody.readable)
            heldBody = nil
        }
        if !mayRetryOnceSent { head = nil }
        sent(on: upstream)
        if wantsBody { worker.loop.wake(client, []) }
    }

    private func sent(on connection: UpstreamConnection) {
        sentAt = worker.loop.now
        waitsUntil = .max
        // A broken one reports itself through its events, and then it is known whether an answer had come.
        if requestIsDone || connection.isCongested { expectAnswer(on: connection) }
    }

    func expectAnswer(on connection: UpstreamConnection) {
        if !isTunnel, !answerHasBegun { connection.expectAnswer(within: responseTimeout) }
    }

    /// Nanoseconds that an upstream may take for its next bytes.
    var responseTimeout: UInt64 {
        route?.responseTimeout ?? balancer?._withUnsafeGuaranteedRef { $0.upstream.responseTimeout } ?? 30_000_000_000
    }

    // MARK: 3. Failures on the way

    /// A request that was sent may be sent again only when a second arrival does no harm and nothing of it is gone.
    private var mayRetryOnceSent: Bool { method.isIdempotent && !hasBody && attempts <= 1 && !wantsUpgrade }

    func connectFailed() {
        upstream = nil
        let hasOther = balancer!._withUnsafeGuaranteedRef { $0.hasOther(than: triedPool) }
        let hasElsewhere = hasOther || (triedPool?.server.addresses.count ?? 0) > 1
        retryOrRefuse(.badUpstream, "the upstream can't be reached", possible: hasElsewhere)
    }

    /// The upstream has closed or reset the connection, before or in the middle of its answer.
    func answerFailed() {
        if answerHasBegun { return breakAnswer() }
        let retry = mayRetryOnceSent && head != nil
        dropUpstream()
        retryOrRefuse(.badUpstream, "the upstream closed the connection without an answer", possible: retry)
    }

    func answerMalformed() {
        dropUpstream()
        _ = refuse(.badUpstream, "the upstream's answer is not valid HTTP")
    }

    func upstreamTimedOut() {
        if answerHasBegun { return breakAnswer() }
        dropUpstream()
        _ = refuse(.upstreamTimeout, "the upstream did not answer in time")
    }

    private func retryOrRefuse(_ problem: Refusal, _ detail: StaticString, possible: Bool) {
        guard possible, attempts < 2, head != nil, let balancer = balancer?.takeUnretainedValue(), balancer.mayRetry() else {
            _ = refuse(problem, detail)
            return
        }
        switch balancer.acquire(for: self, avoiding: triedPool) {
        case .connection: connected()
        case .later: break
        case .refused(let problem): _ = refuse(problem, "no server is available")
        }
    }

    /// The answer can't be completed: the client must see that.
    func breakAnswer() {
        dropUpstream()
        settle()
        client.abortExchange()
    }

    /// The client's connection has ended, in whatever state this is.
    func clientGone() {
        sever()
        if status == 0 { status = 499 }
        settle()
        letGo()
    }

    func clientTimedOut() {
        if waiting.isWaiting {
            refuseWaiting()
        } else if answerHasBegun || client.isCongested {
            // It does not take its answer, or what came before it.
            breakAnswer()
        } else if !requestIsDone {
            dropUpstream()
            _ = refuse(.timeout, "the request body did not arrive in time")
        }
    }

    private func refuseWaiting() {
        let isForName = if case .name = waiting { true } else { false }
        stopWaiting()
        if isForName {
            _ = refuse(.noHealthyUpstream, "the upstream's name was not found in time")
        } else {
            _ = refuse(.overloaded, "no connection to the upstream became free in time")
        }
    }

    // MARK: 4. The end

    /// The whole answer is sent or kept for sending.
    func finish() {
        answerIsDone = true
        head = nil
        if let connection = upstream {
            upstream = nil
            connection.release(keep: answerKeepsUpstream && requestIsDone)
        }
        if !requestIsDone {
            keepAlive = false
            client.mayStillSend = true
        }
        settle()
        client.exchangeDone(keepAlive: keepAlive)
    }

    /// Usage is recorded. Nobody waits for this.
    func settle() {
        if isSettled { return }
        isSettled = true
        worker.record(self)
    }
}
