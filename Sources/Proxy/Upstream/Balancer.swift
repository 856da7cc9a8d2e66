import Base
import Configuration
import Metrics
import Net

/// One loop's view of an upstream: which server is next, who waits for a connection, how many retries are left.
final class Balancer {
    let upstream: Upstream
    let worker: Worker
    private let pools: [ServerPool]
    /// Smooth weighted round robin: each turn every server gains its weight, and the winner pays the sum.
    private var gained: [Int]
    /// For `least_requests` between equals.
    private var turn = 0
    /// Requests that found every server at `max_connections`.
    private var waiting: WaitingLine<Exchange>
    private var placesTurn: PlacesTurn?
    private var retries = RetryBudget()
    let metrics: UpstreamMetrics

    init(_ upstream: Upstream, worker: Worker, pools: [ServerPool], metrics: UpstreamMetrics) {
        (self.upstream, self.worker, self.pools, self.metrics) = (upstream, worker, pools, metrics)
        gained = Array(repeating: 0, count: pools.count)
        waiting = worker.newLine()
    }

    enum Acquired {
        case connection(H1Upstream)
        /// The exchange hears of it later: connecting, resolving, or waiting for its turn.
        case later
        case refused(Refusal)
    }

    /// Finds a connection for the exchange, at another server than `avoiding` where there is one.
    func acquire(for exchange: Exchange, avoiding: ServerPool? = nil) -> Acquired {
        retries.earn()
        guard let choice = choose(avoiding: avoiding) else { return .refused(.noHealthyUpstream) }
        return open(choice, for: exchange)
    }

    private func open(_ pool: ServerPool, for exchange: Exchange) -> Acquired {
        if let connection = pool.takeIdle() {
            connection.use(exchange, now: worker.loop.now)
            return .connection(connection)
        }
        if pool.open >= connectionsMax { return wait(exchange) }
        if pool.server.addresses.isEmpty { return resolve(pool, exchange) }
        guard let connection = pool.connect(timeout: upstream.connectTimeout) else { return .refused(.badUpstream) }
        connection.use(exchange, now: worker.loop.now)
        return .later
    }

    /// A loop's share of `max_connections`: at least one, and all loops together never more than the directive says
    /// (unless there are more loops than connections).
    private var connectionsMax: Int { max(1, upstream.maxConnections / worker.count) }

    private func choose(avoiding: ServerPool?) -> ServerPool? {
        if pools.count == 1 {
            return pools[0].server.isHealthy.load(ordering: .relaxed) ? pools[0] : nil
        }
        let now = worker.loop.now
        // A server that rests or has just failed this request is taken only when there is no other.
        return best { $0.restsUntil <= now && $0 !== avoiding && ($0.hasIdle || $0.open < connectionsMax) }
            ?? best { $0.restsUntil <= now && $0 !== avoiding }
            ?? best { $0 !== avoiding }
            ?? best { _ in true }
    }

    private func best(_ allowed: (ServerPool) -> Bool) -> ServerPool? {
        var found: Int?
        var total = 0
        for offset in 0..<pools.count {
            let i = upstream.balance == .roundRobin ? offset : (offset + turn) % pools.count
            let pool = pools[i]
            guard pool.server.isHealthy.load(ordering: .relaxed), allowed(pool) else { continue }
            total += upstream.weights[i]
            if upstream.balance == .roundRobin { gained[i] += upstream.weights[i] }
            guard let current = found else {
                found = i
                continue
            }
            let better =
                upstream.balance == .roundRobin
                ? gained[i] > gained[current]
                // (in flight + this one) / weight, without a division
                : (pool.inFlight + 1) * upstream.weights[current] < (pools[current].inFlight + 1) * upstream.weights[i]
            if better { found = i }
        }
        guard let found else { return nil }
        if upstream.balance == .roundRobin { gained[found] -= total }
        turn = (turn + 1) % pools.count
        return pools[found]
    }

    /// A server that could be tried instead of that one.
    func hasOther(than pool: ServerPool?) -> Bool {
        pools.contains { $0 !== pool && $0.server.isHealthy.load(ordering: .relaxed) }
    }

    // MARK: Waiting

    private func wait(_ exchange: Exchange) -> Acquired {
        guard waiting.count < connectionsMax * Limits.waitersPerConnection else { return .refused(.overloaded) }
        if waiting.isEmpty { watchPlaces() }
        exchange.waits(.place(self, waiting.join(exchange)), atMost: upstream.connectTimeout)
        return .later
    }

    /// A connection has become free, or a place for one.
    fileprivate func serveWaiting() {
        for _ in 0..<Limits.callsPerTurn where !waiting.isEmpty {
            guard let choice = choose(avoiding: nil), choice.hasIdle || choice.open < connectionsMax else { return }
            guard let (next, ticket) = waiting.next() else { break }
            if next.isCalled(ticket) { next.acquired(open(choice, for: next)) }
        }
        if waiting.isEmpty { ignorePlaces() } else if let placesTurn { worker.loop.wake(placesTurn, []) }
    }

    func stopWaiting(_ ticket: WaitingLine<Exchange>.Ticket) {
        waiting.leave(ticket)
        if waiting.isEmpty { ignorePlaces() }
    }

    private func watchPlaces() {
        if placesTurn != nil { return }
        let turn = PlacesTurn(self)
        placesTurn = turn
        for pool in pools { pool.whenFree.append(turn) }
    }

    private func ignorePlaces() {
        guard let turn = placesTurn else { return }
        placesTurn = nil
        for pool in pools { pool.whenFree.removeAll { $0 === turn } }
        turn.loop.close(turn)
    }

    private func resolve(_ pool: ServerPool, _ exchange: Exchange) -> Acquired {
        let ticket = worker.resolve(pool.server, for: exchange)
        exchange.waits(.name(pool.server, ticket), atMost: upstream.connectTimeout + Limits.resolveNanoseconds)
        return .later
    }

    /// The name of the server that the exchange waits for has been looked up, for better or worse.
    func resolved(_ exchange: Exchange, _ server: Server) {
        guard let pool = pools.first(where: { $0.server === server }), !server.addresses.isEmpty else {
            return exchange.acquired(.refused(.badUpstream))
        }
        exchange.acquired(open(pool, for: exchange))
    }

    /// Whether a failed request may be tried once more. Retries are a share of requests, so that they can't multiply the
    /// load on a service that is already failing.
    func mayRetry() -> Bool { retries.spend(now: worker.loop.now) }
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
}

/// One retry for five requests, and ten a second for whoever has little traffic.
struct RetryBudget {
    private static let cost = 5
    private static let most = 500
    private static let perSecond: UInt64 = 50
    private var saved = 50
    private var refilled: UInt64 = 0

    mutating func earn() { if saved < Self.most { saved += 1 } }

    mutating func spend(now: UInt64) -> Bool {
        if saved < Self.cost {
            let gained = min(now &- refilled, 1_000_000_000) * Self.perSecond / 1_000_000_000
            if gained > 0 {
                saved += Int(gained)
                refilled = now
            }
        }
        guard saved >= Self.cost else { return false }
        saved -= Self.cost
        return true
    }
}
