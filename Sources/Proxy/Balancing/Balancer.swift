import Base
import Configuration
import Metrics
import Net

/// One loop's view of an upstream: which server is next, who waits for a connection, how many retries are left. What it
/// decides is decided by values that know neither loops nor sockets: `Picker`, `Standing`, `Breaker`, `WaitingLine`.
///
/// There is one for an upstream for as long as configurations name it: each next one is adopted, and what was before it
/// stays, be it a turn, a budget or a line. All of its requests go by its present limits, whatever they began under.
final class Balancer {
    let worker: Worker
    let metrics: UpstreamMetrics
    private var pools: [ServerPool] = []
    private var picker: Picker
    /// In the order of the pools, filled anew for each choice.
    private var candidates: [Candidate] = []
    private var breaker: Breaker
    /// Requests that found every server at `max_connections`.
    private var waiting: WaitingLine<Exchange>
    private var placesTurn: PlacesTurn?
    private(set) var connectTimeout: UInt64
    private(set) var responseTimeout: UInt64

    init(_ upstream: Upstream, worker: Worker, metrics: UpstreamMetrics) {
        (self.worker, self.metrics) = (worker, metrics)
        (connectTimeout, responseTimeout) = (upstream.connectTimeout, upstream.responseTimeout)
        picker = Picker(upstream.balance)
        breaker = Breaker(maxConnections: upstream.maxConnections, use: upstream.use)
        waiting = worker.newLine()
        adoptServers(of: upstream)
    }

    // MARK: Configurations

    /// Goes by another configuration's word on the same upstream. Those who wait go on waiting, and are served by it.
    func adopt(_ upstream: Upstream) {
        (connectTimeout, responseTimeout) = (upstream.connectTimeout, upstream.responseTimeout)
        picker.policy = upstream.balance
        breaker.adopt(maxConnections: upstream.maxConnections)
        if !hasServers(of: upstream) { adoptServers(of: upstream) }
        for pool in pools { pool.speaksH2 = upstream.speaksH2 }
        // There may be room now.
        if let placesTurn { worker.loop.wake(placesTurn, []) }
    }

    private func hasServers(of upstream: Upstream) -> Bool {
        pools.elementsEqual(upstream.servers) { $0.server === $1 }
            && candidates.elementsEqual(upstream.weights) { $0.weight == $1 }
    }

    private func adoptServers(of upstream: Upstream) {
        let places = upstream.servers.map { server in pools.firstIndex { $0.server === server } }
        picker.adopt(places: places, weights: upstream.weights)
        candidates = upstream.weights.map { Candidate(weight: $0) }
        if let placesTurn { unwatch(placesTurn) }
        pools = upstream.servers.map { worker.pool(of: $0) }
        for pool in pools { pool.speaksH2 = upstream.speaksH2 }
        if let placesTurn { watch(placesTurn) }
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
        breaker.enter()
        guard let choice = choose(avoiding: avoiding) else { return .refused(.noHealthyUpstream) }
        return open(choice, for: exchange)
    }

    /// The same for one whose kept connection had ended unasked: it has not been sent, as far as anybody knows, and goes on
    /// a fresh connection.
    func acquireFresh(for exchange: Exchange) -> Acquired {
        exchange.attempts.wantsFresh = true
        guard let choice = choose(avoiding: nil) else { return .refused(.noHealthyUpstream) }
        return open(choice, for: exchange)
    }

    /// A connection to that server, or the way to one.
    func open(_ pool: ServerPool, for exchange: Exchange) -> Acquired {
        if pool.speaksH2 {
            if let stream = pool.takeShared() {
                stream.use(exchange)
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

    /// Whether that server may get another connection, as things stand.
    func mayConnect(to pool: ServerPool) -> Bool { pool.hasPlace(most: places(at: pool)) }

    /// A connection that many requests share is hardly ever unused, so that no loop would give it to another one: each may have
    /// one.
    private func places(at pool: ServerPool) -> Int {
        pool.speaksH2 ? max(breaker.maxConnections, worker.group.count) : breaker.maxConnections
    }

    /// Takes the place of another connection to that server, where there is one.
    func takePlace(at pool: ServerPool) -> Bool { pool.takePlace(most: places(at: pool)) }

    /// What an attempt at a server of this upstream has come to: the only way in for that, once for each attempt.
    func record(_ outcome: AttemptOutcome, of pool: ServerPool) { pool.record(outcome) }

    private func choose(avoiding: ServerPool?) -> ServerPool? {
        if pools.count == 1 {
            let only = pools[0]
            return only.isHealthy ? only : nil
        }
        return pick(avoiding: avoiding, except: [])
    }

    /// A server that the exchange has not found dead yet.
    func chooseUntried(for exchange: Exchange) -> ServerPool? {
        hasOthers ? pick(avoiding: nil, except: exchange.tried) : nil
    }

    private func pick(avoiding: ServerPool?, except tried: [ServerPool]) -> ServerPool? {
        let now = worker.loop.now
        for i in pools.indices {
            let pool = pools[i]
            candidates[i].inFlight = pool.inFlight
            guard pool.isHealthy, !tried.contains(where: { $0 === pool }) else {
                candidates[i].ease = nil
                continue
            }
            let isNamed = pool.isNamed
            // Those whose names are known serve meanwhile.
            if !isNamed { pool.lookUp() }
            candidates[i].ease = Candidate.Ease(
                rests: pool.rests(at: now), isAvoided: pool === avoiding, hasRoom: hasRoom(pool), isNamed: isNamed)
        }
        return picker.pick(candidates).map { pools[$0] }
    }

    private func hasRoom(_ pool: ServerPool) -> Bool { pool.hasIdle || (mayConnect(to: pool) && !pool.isDialing) }

    /// There is more than one server.
    var hasOthers: Bool { pools.count > 1 }

    // MARK: Waiting

    private func wait(_ exchange: Exchange) -> Acquired {
        let each = pools.contains { $0.speaksH2 } ? Limits.upstreamStreamsMax : Limits.waitersPerConnection
        guard breaker.wait(forEach: each) else { return .refused(.overloaded) }
        if waiting.isEmpty { watchPlaces() }
        exchange.waits(.place(self, waiting.join(exchange)), atMost: connectTimeout)
        return .later
    }

    /// A connection has become free, or a place for one.
    fileprivate func serveWaiting() {
        for _ in 0..<Limits.callsPerTurn where !waiting.isEmpty {
            guard let choice = choose(avoiding: nil), hasRoom(choice) else { return }
            guard let (next, ticket) = waiting.next() else { break }
            breaker.stopWaiting()
            if next.isCalled(ticket) { next.acquired(open(choice, for: next)) }
        }
        if waiting.isEmpty { ignorePlaces() } else if let placesTurn { worker.loop.wake(placesTurn, []) }
    }

    func stopWaiting(_ ticket: WaitingLine<Exchange>.Ticket) {
        if waiting.leave(ticket) != nil { breaker.stopWaiting() }
        if waiting.isEmpty { ignorePlaces() }
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
        let others = worker.group.count - 1
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
                choose(avoiding: nil).map { open($0, for: exchange) } ?? .refused(.noHealthyUpstream))
        }
        if pool.isNamed { return exchange.acquired(open(pool, for: exchange)) }
        record(.nameless, of: pool)
        exchange.tried.append(pool)
        exchange.acquired(chooseUntried(for: exchange).map { open($0, for: exchange) } ?? .refused(.badUpstream))
    }

    /// The name of that server was not looked up while somebody waited for it.
    func gaveUp(_ server: Server) {
        if let pool = pools.first(where: { $0.server === server }) { record(.nameless, of: pool) }
    }

    /// Whether a failed request may be tried once more.
    func mayRetry() -> Bool { breaker.mayRetry(now: worker.loop.now) }
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
