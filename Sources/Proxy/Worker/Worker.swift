import Base
import CLinux
import Client
import Configuration
import Crypto
import Glibc
import HTTP
import Metrics
import Net
import Quotas
import Tenancy

/// What the control thread tells a worker.
public enum WorkerMessage: Sendable {
    /// A configuration to go by from now on, and the worker's part in it. `done` is called on the worker's thread once it does,
    /// and once for each socket that it gives, by whoever has it then.
    case adopt(Snapshot, WorkerPart, done: @Sendable () -> Void)
    /// A listening socket that another worker gives.
    case take(Int32, Endpoint, done: @Sendable () -> Void)
    /// No new connections; those that are there end with their request. `done` when none is left.
    case drain(done: @Sendable () -> Void)
    /// Another process has taken over. See `Worker.handOver`.
    case handOver(untaken: Set<Endpoint>, moved: @Sendable () -> Void, done: @Sendable () -> Void)
    /// What is still there is broken off, and settled.
    case cut
    /// A server's name was looked up.
    case resolved(Server)
    /// A question that is answered on the worker's thread.
    case ask(@Sendable (Worker) -> Void)
    /// Another loop wants so many places for connections to the server, at which it has some; all may have `most`.
    case placesWanted(Server, by: Int, has: Int, count: Int, most: Int)
    /// Another loop has given a place for a connection to the server, which stays taken.
    case placeGiven(Server)
    /// More wait at the upstream of that identity than may, and on another loop there is nobody to leave.
    case lineTooLong(String)
    /// An issuer's keys were fetched, with or without success: who waits for them need not wait longer.
    case keysFetched
    case stop
}

/// One event loop's data path: its listeners, connections, pools and buffers. Shares nothing with other workers but the
/// snapshot and the servers' state.
///
/// Lives as long as the process. What belongs to it holds it in a plain `let`: of such a one the compiler knows that it
/// stays, and counts nothing where it is used; an `unowned(unsafe)` one is counted up and down at every use.
public final class Worker {
    public let index: Int
    let group: WorkerGroup
    public let loop: EventLoop
    let registry: MetricsRegistry
    let metrics: WorkerMetrics
    let dial: Dialer
    private(set) var view: WorkerView
    var snapshot: Snapshot { view.snapshot }
    private(set) var limits: LimitSettings
    /// Answers say that they are the last ones of their connections.
    var isDraining = false
    /// It has no part in what comes, and ends what it has. See `rest`.
    var isResting = false
    /// Connections are closed as soon as nothing is under way on them.
    private(set) var isEnding = false
    var whenDrained: (@Sendable () -> Void)?

    let rooms = Rooms()
    let tls = TLSRoom()
    var requestHead: RequestHead
    var responseHead: ResponseHead
    private(set) var requestLimits: ParseLimits
    let responseLimits = ParseLimits(maxHeadSize: Limits.headSizeMax, maxFields: Worker.responseFieldsMax)
    static let responseFieldsMax = 1000
    var random = FastRandom()
    var enforcer: QuotaEnforcer
    let identities = IdentityResolver()
    var unasked = UnaskedLooks()
    /// As of the last look.
    var overloadStage = 0
    var overloadCause = OverloadCause.memory
    var shedding = Shedding()
    /// When idle connections were ended last, for the sake of others: monotonic nanoseconds.
    var idleEnded: UInt64 = 0

    // Who is there
    var listeners: [Endpoint: [Listener]] = [:]
    private(set) var connections = 0
    private var tenants = TenantStates()
    let balancers = Balancers()
    private var exchanges: [Exchange] = []
    private var streams: [H2ClientStream] = []
    private var upstreamStreams: [H2UpstreamStream] = []
    private var names: NamesAwaited
    /// What it asks of others for the sake of requests, once it has.
    private var client: HTTPClient?
    /// Turns of clients whose tenant is not known yet, by address.
    private var strangers: [Flow]
    private(set) var accessLog: AccessLogBuffer?
    private let logWriter: AccessLogWriter
    private var time = WallClock()
    var clientFaults = ClientFaults()
    private var faultsTold: UInt64 = 0
    /// Takes what there is to tell of clients; called on the worker's thread, once a second at the most.
    public var tellOfClients: (ClientFaultReport) -> Void = { _ in }

    public convenience init(
        index: Int, of group: WorkerGroup, snapshot: Snapshot, registry: MetricsRegistry, resolver: Resolver,
        logWriter: AccessLogWriter
    ) throws(SystemError) {
        try self.init(
            index: index, of: group, snapshot: snapshot, registry: registry, resolver: resolver, logWriter: logWriter,
            dial: { pool, address throws(SystemError) in
                if pool.terms.hasPreamble { return try UpstreamOpening.dial(pool, address) }
                return try pool.speaksH2 ? H2Upstream.dial(pool, address) : H1Upstream.dial(pool, address)
            })
    }

    /// - Parameter dial: how connections to servers are made.
    init(
        index: Int, of group: WorkerGroup, snapshot: Snapshot, registry: MetricsRegistry, resolver: Resolver,
        logWriter: AccessLogWriter, dial: @escaping Dialer
    ) throws(SystemError) {
        (self.index, self.group, self.dial) = (index, group, dial)
        view = WorkerView(snapshot, number: 0)
        (self.registry, self.logWriter) = (registry, logWriter)
        names = NamesAwaited(resolver)
        metrics = registry.worker(index)
        loop = try EventLoop()
        enforcer = QuotaEnforcer(table: snapshot.quotas.table, wall: snapshot.quotas.table.wall(monotonic: Clock.monotonic()))
        limits = snapshot.settings.limits
        requestHead = RequestHead(maxFields: limits.maxHeaders)
        responseHead = ResponseHead(maxFields: Self.responseFieldsMax)
        requestLimits = ParseLimits(maxHeadSize: limits.maxHeaderSize, maxFields: limits.maxHeaders)
        strangers = (0..<64).map { _ in Flow(weight: 1) }
        accessLog = AccessLogBuffer(snapshot.settings.accessLog, writer: logWriter, metrics: metrics)
        refreshTime()
        try group.mailbox(of: index).deliver(on: loop) { [unowned self] message in receive(message) }
        Ticker(worker: self).begin()
        OverloadLook(worker: self).begin()
        loop.beforeWait = { [unowned self] in accessLog?.flush(now: loop.now) }
    }

    /// Serves until told to stop.
    public func run() { loop.run() }

    // MARK: Messages

    private func receive(_ message: WorkerMessage) {
        switch message {
        case .adopt(let snapshot, let part, let done):
            adopt(snapshot, part.sockets)
            adopt(part, done)
            done()
        case .take(let fd, let endpoint, let done):
            listen(on: fd, endpoint)
            done()
        case .drain(let done):
            whenDrained = done
            drain()
        case .handOver(let untaken, let moved, let done): handOver(untaken: untaken, moved: moved, done: done)
        case .cut: forEachClient { $0.shut(abort: true) }
        case .resolved(let server): resolved(server)
        case .placesWanted(let server, let other, let has, let count, let most):
            balancers.known(server)?.wanted(by: other, has: has, count: count, most: most)
        case .placeGiven(let server):
            if let pool = balancers.known(server) { pool.takeGiven() } else { server.places.giveBack() }
        case .lineTooLong(let identity): balancers.known(identity)?.shorten()
        case .ask(let question): question(self)
        case .keysFetched: forEachClient { $0.keysFetched() }
        case .stop:
            accessLog?.flush(now: .max)
            clientFaults.take().map(tellOfClients)
            loop.stop()
        }
    }

    private func adopt(_ next: Snapshot, _ sockets: [Endpoint: [Int32]]) {
        let previous = snapshot
        view = WorkerView(next, number: view.number + 1)
        limits = next.settings.limits
        if previous.settings.limits.maxHeaders != limits.maxHeaders { requestHead = RequestHead(maxFields: limits.maxHeaders) }
        requestLimits = ParseLimits(maxHeadSize: limits.maxHeaderSize, maxFields: limits.maxHeaders)
        if previous.settings.accessLog != next.settings.accessLog {
            accessLog?.flush(now: .max)
            accessLog = AccessLogBuffer(next.settings.accessLog, writer: logWriter, metrics: metrics)
        }
        balancers.adopt(view)
        adoptListeners(next, sockets)
        revokeRemoved()
        adoptDesks(isOver: false)
    }

    /// - Parameter isOver: nothing comes to this loop any more.
    func adoptDesks(isOver: Bool) { tenants.adoptDesks(snapshot.directory, isOver: isOver) }

    private func adoptListeners(_ next: Snapshot, _ sockets: [Endpoint: [Int32]]) {
        var wanted: [Endpoint: ListenerState] = [:]
        for state in next.listeners { wanted[state.endpoint] = state }
        for (endpoint, those) in listeners {
            if let state = wanted[endpoint] {
                for listener in those { listener.state = state }
            } else {
                for listener in those { listener.end() }
                listeners[endpoint] = nil
            }
        }
        for (endpoint, those) in sockets {
            guard let state = wanted[endpoint] else {
                for fd in those { close(fd) }
                continue
            }
            for fd in those { listen(on: fd, state) }
        }
    }

    func listen(on fd: Int32, _ state: ListenerState) {
        let metrics = registry.listener(state.label, worker: index)
        let listener = Listener(worker: self, fd: fd, state: state, metrics: metrics)
        listeners[state.endpoint, default: []].append(listener)
        listener.open()
    }

    /// Ends the connections of tenants that are no more. Looks at connections, not at tenants, of which there may be many.
    private func revokeRemoved() {
        forEachClient { client in
            guard let state = client.flow as? TenantState else { return }
            if state.looked != view.number {
                (state.looked, state.isRemoved) = (view.number, snapshot.directory.tenant(id: state.id) == nil)
            }
            if state.isRemoved { client.revoke() }
        }
    }

    private func drain() {
        (isDraining, isEnding, isResting) = (true, true, false)
        for listener in listeners.values.joined() { listener.end() }
        listeners = [:]
        balancers.retirePools()
        forEachClient { $0.retire() }
        checkDrained()
    }

    func checkDrained() {
        guard isDraining, connections == 0, let done = whenDrained else { return }
        whenDrained = nil
        accessLog?.flush(now: .max)
        done()
    }

    // MARK: Clients

    func accept(_ fd: Int32, _ peer: SocketAddress, _ listener: Listener) {
        guard group.clients.take(upTo: limits.maxConnections) else { return turnAway(fd) }
        connections += 1
        if !listener.state.takesProxy { return serve(fd, peer, listener) }
        let preamble = ProxyPreamble(worker: self, fd: fd, peer: peer, listener: listener)
        guard loop.add(preamble) else {
            turnAway(loop.detach(preamble))
            return forgetClient()
        }
        preamble.start()
    }

    /// A connection that is counted begins to be served.
    /// - Parameter told: what a proxy has said that the client connected to.
    func serve(_ fd: Int32, _ peer: SocketAddress, _ listener: Listener, told: SocketAddress? = nil) {
        let admission = admit(peer, listener)
        if admission == .refused {
            turnAway(fd)
            return forgetClient()
        }
        let client = H1Client(worker: self, fd: fd, peer: peer, listener: listener, told: told)
        if case .counted(let place) = admission { client.origin.place = place }
        guard client.canBegin, loop.add(client) else {
            turnAway(loop.detach(client))
            return forgetClient(client.origin)
        }
        client.start()
    }

    /// A clear end now is better than a wait without one.
    func turnAway(_ fd: Int32) {
        metrics.acceptErrors.add()
        Socket.resetOnClose(fd)
        close(fd)
    }

    /// What has begun as HTTP/1.1 turns out to be HTTP/2: the connection is another one's from now on.
    /// - Parameter early: what it has sent already, behind TLS.
    func becomeH2(_ first: H1Client, early: consuming Buffer?) {
        let client = H2Client(first, fd: loop.detach(first))
        guard loop.add(client) else { return client.shut() }
        client.start(with: early)
        // Those that were there when that began have been told.
        if isDraining { client.retire() }
    }

    /// A client's connection was shut.
    /// - Parameter origin: nil where it was not known yet who it is.
    func forgetClient(_ origin: ClientOrigin? = nil) {
        connections -= 1
        group.clients.giveBack()
        if let place = origin?.place { group.addresses.giveBack(place) }
        origin?.place = nil
        checkDrained()
    }

    /// A client can't be served, for that reason: it will be told.
    /// - Parameter address: the client's own, where a trusted proxy has told it.
    func note(_ reason: ClientFault.Reason, of client: ClientOrigin, at address: SocketAddress? = nil) {
        note(reason, of: address ?? client.peer, on: client.listenerLabel)
    }

    /// - Parameter label: the listener's.
    func note(_ reason: ClientFault.Reason, of address: SocketAddress, on label: String) {
        clientFaults.note(address, label, reason, within: group.clientFaults, now: loop.now)
    }

    /// Something that the log is to tell, a line.
    func note(_ line: String) { clientFaults.note(line, within: group.clientFaults, now: loop.now) }

    /// Services that are asked for the sake of requests.
    var outside: HTTPClient {
        if let client { return client }
        let made = HTTPClient(loop: loop, resolver: names.resolver, kept: Limits.decisionConnectionsKept)
        client = made
        return made
    }

    func tellIdle() { balancers.tellIdle() }

    func tellFaults() {
        guard loop.now >= faultsTold + 1_000_000_000, let report = clientFaults.take() else { return }
        faultsTold = loop.now
        tellOfClients(report)
    }

    func forEachClient(_ body: (any ClientConnection) -> Void) {
        loop.forEach {
            switch $0 {
            case let client as H1Client: body(client)
            case let client as H2Client: body(client)
            case let client as ProxyPreamble: body(client)
            default: break
            }
        }
    }

    /// Strangers share turns by address, so that one of them can't fill everybody's.
    func flow(forStranger peer: SocketAddress) -> Flow {
        var hash = (peer.high ^ peer.low) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
        return strangers[Int(truncatingIfNeeded: hash) & (strangers.count - 1)]
    }

    // MARK: Exchanges

    func takeExchange(for client: ClientEnd) -> Exchange {
        let exchange = exchanges.popLast() ?? Exchange(worker: self, client: client)
        exchange.reset(for: client)
        return exchange
    }

    func giveBack(_ exchange: Exchange) {
        exchange.letGo()
        // Each loop keeps some for its own next requests, which bounds nothing: a number of the loop is right here.
        if exchanges.count < 1024 { exchanges.append(exchange) }
    }

    func takeStream(for client: H2Client, _ id: UInt32) -> H2ClientStream {
        let stream = streams.popLast() ?? H2ClientStream(worker: self, for: client)
        stream.open(for: client, id)
        return stream
    }

    /// It is not closed: another request has it next.
    func giveBack(_ stream: H2ClientStream) {
        if streams.count < 1024 { streams.append(stream) } else { loop.close(stream) }
    }

    func takeStream(on connection: H2Upstream) -> H2UpstreamStream {
        let stream = upstreamStreams.popLast() ?? H2UpstreamStream(on: connection)
        stream.open(on: connection)
        return stream
    }

    func giveBack(_ stream: H2UpstreamStream) {
        if upstreamStreams.count < 1024 { upstreamStreams.append(stream) } else { loop.close(stream) }
    }

    /// Of a tenant of the configuration in force: the turn and the counters that it had before.
    func state(of tenant: Tenant, in view: WorkerView) -> Uncounted<TenantState> {
        // It stays until the process ends.
        unsafe view.state(of: tenant)
            ?? Uncounted(tenants.adopt(tenant, in: view, uses: group.tenants) { registry.tenant(tenant.id, worker: index) })
    }

    func balancer(forUpstream number: Int, in view: WorkerView) -> Uncounted<Balancer> {
        // The view keeps it.
        unsafe view.balancer(forUpstream: number)
            ?? Uncounted(balancers.balancer(forUpstream: number, in: view, on: self))
    }

    func pool(of server: Server) -> ServerPool { balancers.pool(of: server, on: self) }

    // MARK: Names

    func newLine() -> WaitingLine<Exchange> { names.newLine() }

    /// Looks the server's name up; the exchange is called when that is done, for better or worse.
    func resolve(_ server: Server, for exchange: Exchange) -> WaitingLine<Exchange>.Ticket {
        let mailbox = group.mailbox(of: index)
        return names.join(exchange, server) { mailbox.post(.resolved(server)) }
    }

    /// The look-up of its name has ended, for better or worse.
    func resolved(_ server: Server) {
        if let line = names.take(server) { loop.wake(NameTurn(worker: self, server, line), []) }
    }

    /// Has its name looked up, with nobody waiting for that.
    func lookUp(_ server: Server) { names.lookUp(server) }

    func stopWaiting(for server: Server, _ ticket: WaitingLine<Exchange>.Ticket) { names.leave(server, ticket) }

    /// The log's writer has no counters of its own; the first worker counts for it.
    func countLostLines() {
        if index == 0 { metrics.logDropped.add(logWriter.takeLost()) }
    }

    // MARK: Time

    /// Wall time, nanoseconds, of a monotonic time.
    func wall(_ monotonic: UInt64) -> UInt64 { time.wall(monotonic) }

    /// The same that periods of quotas go by: a wall clock that jumps does not move it.
    func calendar(_ monotonic: UInt64) -> UInt64 { time.calendar(monotonic) }

    /// The `Date` of answers.
    var date: [UInt8] { time.date }

    func refreshTime() { time.refresh(now: loop.now, calendarOffset: view.quotas.table.calendarOffset) }
}

/// Keeps a worker's wall clock right to the quarter second, and its log moving.
private final class Ticker: Source {
    private let worker: Worker
    private static let period: UInt64 = 250_000_000

    init(worker: Worker) {
        self.worker = worker
        super.init(loop: worker.loop, fd: -1, flow: worker.loop.commonFlow)
    }

    func begin() { loop.schedule(self, at: loop.now + Self.period) }

    override func expired() {
        worker.refreshTime()
        worker.metrics.staleEvents.add(loop.takeStaleEvents())
        worker.accessLog?.flush(now: loop.now)
        worker.countLostLines()
        worker.tellFaults()
        worker.tellIdle()
        loop.schedule(self, at: loop.now + Self.period)
    }
}
