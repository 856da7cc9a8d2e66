import Base
import Configuration
import Metrics
import Net

/// One loop's view of an upstream: which server is next, who waits for a connection, how many retries are left. What it
/// decides is decided by values that know neither loops nor sockets: `Picker`, `Standing`, `Breaker`, `FairLine`.
///
/// There is one for an upstream for as long as configurations name it: each next one is adopted, and what was before it
/// stays, be it a turn, a budget or a line. All of its requests go by its present limits, whatever they began under.
final class Balancer {
    let worker: Worker
    /// The registry keeps them until the process ends.
    private(set) var metrics: Uncounted<UpstreamMetrics>
    private var upstream: Upstream
    private var pools: [ServerPool] = []
    /// The only one of them.
    private var only: ServerPool?
    private var picker: Picker
    /// In the order of the pools, filled anew for each choice.
    private var candidates: [Candidate] = []
    private var breaker: Breaker
    /// By which other loops know it.
    private let identity: String
    private let use: UpstreamUse
    /// Requests that found every server at `max_connections`.
    private var waiting: FairLine<Exchange>
    /// One has come that another one is to leave for.
    private var isPushed = false
    /// Tenants may have a share of its connections.
    private var hasShares: Bool
    /// There is one server, nobody waits, and nothing is counted.
    private var isPlain = true
    private var placesTurn: PlacesTurn?
    private(set) var connectTimeout: UInt64
    private(set) var responseTimeout: UInt64
    /// What of a request its server is chosen by; nil where that is nothing of its own.
    private(set) var key: HashKey?
    private(set) var retry: RetrySettings
    /// Of requests of others, those that are under way to it or wait to be whole.
    var copies = 0

    init(_ upstream: Upstream, worker: Worker, metrics: UpstreamMetrics) {
        (self.upstream, self.worker, self.metrics) = unsafe (upstream, worker, Uncounted(metrics))
        (connectTimeout, responseTimeout) = (upstream.connectTimeout, upstream.responseTimeout)
        retry = upstream.retry
        picker = Picker(upstream.balance)
        key = upstream.balance.key
        breaker = Breaker(
            maxConnections: upstream.maxConnections, queue: upstream.queue, maxRequests: upstream.maxRequests, use: upstream.use)
        (identity, use, hasShares) = (upstream.identity, upstream.use, upstream.hasShares)
        waiting = FairLine(upstream.use.tenants)
        adoptServers(of: upstream)
        measure()
    }

    // MARK: Configurations

    /// Goes by another configuration's word on the same upstream. Those who wait go on waiting, and are served by it.
    func adopt(_ upstream: Upstream) {
        if upstream.name != self.upstream.name { rename(upstream.name) }
        self.upstream = upstream
        (connectTimeout, responseTimeout) = (upstream.connectTimeout, upstream.responseTimeout)
        let isSame = picker.policy == upstream.balance && hasServers(of: upstream)
        (picker.policy, key) = (upstream.balance, upstream.balance.key)
        breaker.adopt(maxConnections: upstream.maxConnections, queue: upstream.queue, maxRequests: upstream.maxRequests)
        hasShares = upstream.hasShares
        retry = upstream.retry
        if !isSame { adoptServers(of: upstream) }
        measure()
        for pool in pools { pool.adopt(upstream.terms) }
        for pool in pools { pool.idleTimeout = upstream.idleTimeout }
        look()
        // There may be room now.
        if let placesTurn { worker.loop.wake(placesTurn, []) }
    }

    /// Its counters are another name's from now on.
    private func rename(_ name: String) {
        let next = worker.registry.upstream(name, worker: worker.index)
        metrics.follow { $0.handOver(waiting.count, to: next) }
        metrics = unsafe Uncounted(next)
    }

    private func hasServers(of upstream: Upstream) -> Bool {
        pools.elementsEqual(upstream.choices) { $0.server === $1.server }
            && candidates.elementsEqual(upstream.choices) { $0.weight == $1.weight && $0.isBackup == ($1.flag == .backup) }
    }

    private func adoptServers(of upstream: Upstream) {
        let choices = upstream.choices
        let places = choices.map { choice in pools.firstIndex { $0.server === choice.server } }
        picker.adopt(
            places: places, weights: choices.map(\.weight), seeds: choices.map { StableHash.of($0.server.label) },
            backups: choices.map { $0.flag == .backup })
        candidates = choices.map { Candidate(weight: $0.weight, isBackup: $0.flag == .backup) }
        if let placesTurn { unwatch(placesTurn) }
        pools = choices.map { worker.pool(of: $0.server) }
        only = pools.count == 1 ? pools[0] : nil
        for pool in pools { pool.adopt(upstream.terms) }
        for pool in pools { pool.idleTimeout = upstream.idleTimeout }
        if let placesTurn { watch(placesTurn) }
        look()
    }

    /// Whether a request needs no more than a look at the only server.
    private func look() { isPlain = pools.count == 1 && waiting.isEmpty && !hasShares && breaker.maxRequests == nil }

    /// Begins to look at how long answers take, where that counts.
    private func measure() {
        if only == nil, upstream.eject?.slower != nil { for pool in pools { pool.measure() } }
    }

    // MARK: Choosing

    enum Acquired {
        case connection
        /// The exchange hears of it later: connecting, resolving, or waiting for its turn.
        case later
        case refused(Refusal)
        /// No server can be connected to.
        case unreachable
    }

    /// Finds a connection for the exchange, at another server than `avoiding` where there is one.
    @inline(__always)
    func acquire(for exchange: Exchange, avoiding: ServerPool? = nil) -> Acquired {
        breaker.enter(budget: retry.budget)
        if !isPlain, !mayBegin(exchange) { return .refused(.overloaded) }
        guard let choice = choose(for: exchange, avoiding: avoiding) else { return .refused(.noHealthyUpstream) }
        if !isPlain {
            if !waiting.isEmpty { return waitBehind(exchange, for: choice) }
            if hasShares { holds(exchange) }
        }
        return open(choice, for: exchange)
    }

    /// Whether another request may be under way. It is from now on.
    private func mayBegin(_ exchange: Exchange) -> Bool {
        guard let most = breaker.maxRequests, !exchange.contention.isCounted else { return true }
        guard let tenant = exchange.resolution.tenant else { return false }
        let part = part(of: tenant)
        guard breaker.beginRequest(of: part, weight: tenant.follow { $0.weight }, upTo: most, isShared: upstream.isShared) else {
            return false
        }
        exchange.contention.count(for: part)
        return true
    }

    /// One that was counted is over.
    func requestEnded(of part: TenantPart) { breaker.requestEnded(of: part) }

    /// It is about to have a connection without having waited for one, which counts for its tenant's share.
    private func holds(_ exchange: Exchange) {
        guard !exchange.contention.hasTurn, let tenant = exchange.resolution.tenant else { return }
        exchange.contention.begin(use.tenants.hold(part(of: tenant), now: worker.loop.now))
    }

    private func part(of tenant: Uncounted<TenantState>) -> TenantPart {
        let (owner, id) = tenant.follow { (ObjectIdentifier($0), $0.id) }
        return waiting.part(of: owner) { (use.tenants.part(of: id), worker.newLine()) }
    }

    /// The same for one whose kept connection had ended unasked: it has not been sent, as far as anybody knows, and goes on
    /// a fresh connection.
    func acquireFresh(for exchange: Exchange) -> Acquired {
        exchange.attempts.wantsFresh = true
        guard let choice = choose(for: exchange) else { return .refused(.noHealthyUpstream) }
        if hasShares { holds(exchange) }
        return open(choice, for: exchange)
    }

    /// A connection to that server, or the way to one.
    func open(_ pool: ServerPool, for exchange: Exchange) -> Acquired {
        if pool.speaksH2 {
            if let stream = pool.takeShared(for: exchange, withRoom: wantsRoom(exchange, at: pool)) {
                stream.use(exchange)
                return .connection
            }
            // Of servers behind one name some may speak HTTP/1.1.
            if let connection = pool.takeIdle(for: exchange) {
                connection.use(exchange)
                return .connection
            }
            if pool.isDialing { return wait(exchange) }
        } else if let connection = pool.takeIdle(for: exchange) {
            connection.use(exchange)
            return .connection
        }
        // What must not go on a kept connection may have the place of one.
        if !mayConnect(to: pool), !pool.closeUnused() { return wait(exchange) }
        if !pool.isNamed { return resolve(pool, exchange) }
        return Dial(exchange, to: pool, by: self).begin()
    }

    /// What others send and the server does not take may fill the window of all. A body then waits for them, whoever they are:
    /// it goes on another connection, where one can be made.
    private func wantsRoom(_ exchange: Exchange, at pool: ServerPool) -> Bool {
        (exchange.request.hasBody || exchange.request.wantsUpgrade) && !pool.isDialing && mayConnect(to: pool)
    }

    /// Whether that server may get another connection, as things stand.
    func mayConnect(to pool: ServerPool) -> Bool { pool.hasPlace(most: places(at: pool)) }

    /// A connection that many requests share is hardly ever unused, so that no loop would give it to another one: each may have
    /// one.
    private func places(at pool: ServerPool) -> Int {
        pool.speaksH2 ? max(breaker.maxConnections, worker.group.serving) : breaker.maxConnections
    }

    /// Takes the place of another connection to that server, where there is one.
    func takePlace(at pool: ServerPool) -> Bool { pool.takePlace(most: places(at: pool)) }

    /// What an attempt at a server of this upstream has come to: the only way in for that, once for each attempt.
    func record(_ outcome: AttemptOutcome, of pool: ServerPool, for exchange: Exchange) {
        pool.record(outcome)
        if only == nil { judge(outcome, pool, exchange) }
    }

    private func judge(_ outcome: AttemptOutcome, _ pool: ServerPool, _ exchange: Exchange) {
        guard upstream.eject != nil else { return }
        let (now, tenant) = (worker.loop.now, exchange.tenantTag)
        if let latencies = pool.latencies, case .answered(let status) = outcome, status < 500 {
            latencies.record(now - exchange.attempts.sentAt, of: pool.server.isShared ? tenant : nil)
        }
        upstream.judge(outcome, of: pool.server, for: tenant, at: now)
    }

    /// - Parameter exchange: whose key decides, where there are keys; nil for the next who comes.
    private func choose(for exchange: Exchange?, avoiding: ServerPool? = nil) -> ServerPool? {
        if isPlain, let only { return only.isHealthy ? only : nil }
        let key = exchange?.request.affinity ?? 0
        if let place = picker.likely(by: key), pools[place] !== avoiding, isReady(pools[place]) { return pools[place] }
        return pick(for: exchange, avoiding: avoiding, except: [])
    }

    /// Nothing speaks against that server, whatever is known of the others.
    private func isReady(_ pool: ServerPool) -> Bool {
        pool.server.condition.isPlain && !pool.rests(at: worker.loop.now) && pool.inFlight < KeyedServers.always && pool.isNamed
            && hasRoom(pool)
    }

    /// A server that the exchange has not found dead yet.
    func chooseUntried(for exchange: Exchange) -> ServerPool? {
        hasOthers ? pick(for: exchange, avoiding: nil, except: exchange.tried) : nil
    }

    private func pick(for exchange: Exchange?, avoiding: ServerPool?, except tried: [ServerPool]) -> ServerPool? {
        let now = worker.loop.now
        for i in pools.indices {
            let pool = pools[i]
            candidates[i].inFlight = pool.inFlight
            guard pool.isHealthy, !tried.contains(where: { $0 === pool }) else {
                candidates[i].ease = nil
                continue
            }
            candidates[i].share = 100
            let isEjected = !pool.server.condition.isPlain && lookCloser(at: pool.server, &candidates[i], for: exchange)
            let isNamed = pool.isNamed
            // Those whose names are known serve meanwhile.
            if !isNamed { pool.lookUp() }
            candidates[i].ease = Candidate.Ease(
                rests: pool.rests(at: now), isAvoided: pool === avoiding, hasRoom: hasRoom(pool), isNamed: isNamed,
                isBackup: candidates[i].isBackup, isEjected: isEjected)
        }
        return picker.pick(candidates, by: exchange?.request.affinity ?? 0).map { pools[$0] }
    }

    /// Of a server with which all is not well, or was not a short while ago: whether it is left out.
    private func lookCloser(at server: Server, _ candidate: inout Candidate, for exchange: Exchange?) -> Bool {
        let now = worker.loop.now
        server.takeBackIfDue(at: now)
        candidate.share = server.condition.share(at: now)
        return server.condition.isEjected(at: now) || server.condition.isLeftOut(for: exchange?.tenantTag ?? 0, at: now)
    }

    private func hasRoom(_ pool: ServerPool) -> Bool { pool.hasIdle || (mayConnect(to: pool) && !pool.isDialing) }

    /// There is more than one server.
    var hasOthers: Bool { pools.count > 1 }

    // MARK: Waiting

    /// How many may wait, on all loops together.
    private var lineSize: Int {
        breaker.lineSize(
            forEach: pools.contains { $0.speaksH2 } ? Limits.upstreamStreamsMax : Limits.waitersPerConnection)
    }

    /// Nobody passes those who wait already.
    private func waitBehind(_ exchange: Exchange, for choice: ServerPool) -> Acquired {
        if hasRoom(choice), let placesTurn { worker.loop.wake(placesTurn, []) }
        return wait(exchange)
    }

    private func wait(_ exchange: Exchange) -> Acquired {
        guard let tenant = exchange.resolution.tenant else { return .refused(.overloaded) }
        // It has been called, and somebody else was faster.
        if exchange.contention.isOwed { exchange.endTurn() }
        let (owner, weight, share) = tenant.follow { (ObjectIdentifier($0), $0.weight, $0.bounds.share ?? 100) }
        let part = part(of: tenant)
        let size = lineSize
        if !breaker.wait(upTo: size) {
            guard use.tenants.isEntitled(part, weight: weight, size: size) else { return .refused(.overloaded) }
            breaker.waitBeyond()
            isPushed = true
        }
        if waiting.isEmpty { watchPlaces() }
        // Who is to leave does so in a turn of its own.
        if isPushed, let placesTurn { worker.loop.wake(placesTurn, []) }
        let ticket = waiting.join(exchange, of: owner, weight: weight, share: share)
        look()
        exchange.contention.waitsSince = worker.loop.now
        metrics.follow { $0.queued() }
        exchange.waits(.place(self, ticket), atMost: breaker.queue?.timeout ?? connectTimeout)
        return .later
    }

    /// A connection has become free, or a place for one.
    fileprivate func serveWaiting() {
        if isPushed { push() }
        for _ in 0..<Limits.callsPerTurn where !waiting.isEmpty {
            guard let choice = choose(for: nil), hasRoom(choice) else { return }
            guard let (next, ticket, turn) = waiting.next(now: worker.loop.now) else { break }
            next.contention.begin(turn)
            left(next)
            // One of those with room is its key's, then. Where the only ones are left out for its tenant, it waits no longer for
            // another one: it would be called at once again, and again.
            let own = key == nil ? choice : choose(for: next) ?? choice
            let server = hasRoom(own) ? own : choice
            if next.isCalled(ticket) { next.acquired(open(server, for: next)) } else { next.endTurn() }
        }
        if waiting.isEmpty { ignorePlaces() } else if let placesTurn { worker.loop.wake(placesTurn, []) }
    }

    func stopWaiting(_ ticket: WaitingLine<Exchange>.Ticket, _ exchange: Exchange) {
        guard let owner = exchange.resolution.tenant?.follow({ ObjectIdentifier($0) }) else { return }
        if waiting.leave(ticket, of: owner) != nil { left(exchange) }
        if waiting.isEmpty { ignorePlaces() }
    }

    /// It stands in the line no more.
    private func left(_ exchange: Exchange) {
        breaker.stopWaiting()
        gone(exchange)
    }

    private func gone(_ exchange: Exchange) {
        look()
        let time = worker.loop.now &- exchange.contention.waitsSince
        metrics.follow { $0.leftQueue(after: time) }
    }

    /// A request that had waited holds its connection no more.
    func ended(_ turn: FairTurn, of tenant: Uncounted<TenantState>) {
        waiting.ended(turn, of: tenant.follow { ObjectIdentifier($0) }, now: worker.loop.now)
    }

    /// Somebody was let in who has more right to a place in the line than others: one of those leaves, wherever it waits.
    private func push() {
        isPushed = false
        shorten()
        if worker.group.count > 1, breaker.isTooLong(for: lineSize) {
            worker.group.post(.lineTooLong(identity), toAllBut: worker.index)
        }
    }

    /// More wait than may: those leave whose tenants have more than their part of the line.
    func shorten() {
        let size = lineSize
        for _ in 0..<Limits.callsPerTurn {
            guard breaker.stopWaiting(beyond: size) else { return }
            guard let (exchange, ticket) = waiting.shorten(to: size) else { return breaker.waitBeyond() }
            gone(exchange)
            if exchange.isCalled(ticket) {
                exchange.refuse(.overloaded, "others have more right to wait for a connection")
            }
        }
    }

    private func watchPlaces() {
        if placesTurn != nil { return }
        let turn = PlacesTurn(self)
        placesTurn = turn
        watch(turn)
        // Who has no connection can't wait for one of its own to become free.
        if worker.group.count > 1 { turn.loop.schedule(turn, at: pools.contains { $0.open > 0 } ? turn.loop.now + 1 : 0) }
    }

    /// Asks other loops, which have the places, for as many as are needed here.
    fileprivate func askForPlaces() {
        guard let placesTurn else { return }
        // Those that rest keep no connection that they could give.
        let others = max(1, worker.group.serving - 1)
        for pool in pools where pool.isHealthy && !mayConnect(to: pool) {
            worker.group.post(
                .placesWanted(
                    pool.server, by: worker.index, has: pool.open, count: (waiting.count + others - 1) / others,
                    most: breaker.maxConnections),
                toAllBut: worker.index)
        }
        placesTurn.loop.schedule(placesTurn, at: placesTurn.loop.now + Limits.placesAskedNanoseconds)
        placesTurn.loop.wake(placesTurn, [])
    }

    private func ignorePlaces() {
        guard let turn = placesTurn else { return }
        placesTurn = nil
        isPushed = false
        unwatch(turn)
        turn.loop.close(turn)
    }

    private func watch(_ turn: PlacesTurn) {
        for pool in pools { pool.watch(turn) }
    }

    private func unwatch(_ turn: PlacesTurn) {
        for pool in pools { pool.unwatch(turn) }
    }

    private func resolve(_ pool: ServerPool, _ exchange: Exchange) -> Acquired {
        let ticket = worker.resolve(pool.server, for: exchange)
        exchange.waits(.name(pool.server, ticket), atMost: connectTimeout + Limits.resolveNanoseconds)
        return .later
    }

    /// The name of the server that the exchange waits for has been looked up, for better or worse.
    func resolved(_ exchange: Exchange, _ server: Server) {
        guard let pool = pools.first(where: { $0.server === server }) else {
            // A configuration without it has come meanwhile: there are others now.
            return exchange.acquired(
                choose(for: exchange).map { open($0, for: exchange) } ?? .refused(.noHealthyUpstream))
        }
        if pool.isNamed { return exchange.acquired(open(pool, for: exchange)) }
        record(.nameless, of: pool, for: exchange)
        exchange.tried.append(pool)
        exchange.acquired(chooseUntried(for: exchange).map { open($0, for: exchange) } ?? .refused(.badUpstream))
    }

    /// The name of that server was not looked up while somebody waited for it.
    func gaveUp(_ server: Server, for exchange: Exchange) {
        if let pool = pools.first(where: { $0.server === server }) { record(.nameless, of: pool, for: exchange) }
    }

    /// Whether a failed request may be tried once more.
    /// - Parameter tenant: the tag of its tenant.
    func mayRetry(for tenant: UInt32) -> Bool { breaker.mayRetry(for: tenant, now: worker.loop.now) }
}

extension Balance {
    /// What of a request it goes by.
    fileprivate var key: HashKey? {
        if case .hash(let key) = self { return key }
        return nil
    }
}

/// The turn in which those who wait for a place are served: one of its own, never in the middle of somebody else's. It is
/// there while somebody waits.
final class PlacesTurn: Source {
    private let balancer: Balancer

    init(_ balancer: Balancer) {
        self.balancer = balancer
        super.init(loop: balancer.worker.loop, fd: -1, flow: balancer.worker.loop.commonFlow)
    }

    override func ready(_ events: Readiness) { balancer.serveWaiting() }

    override func expired() { balancer.askForPlaces() }
}
