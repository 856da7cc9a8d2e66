import Base
import Net

/// A request's way to a new connection. Nothing of it is sent yet, so that any server will do: the addresses of one are
/// tried, then other servers, the next as soon as one fails, or beside it when it has said nothing for a while (RFC 8305
/// section 5). The first connection that stands carries the request, the others are closed.
///
///     racing ──► one stands: the request's ─────────────────────► over
///       │  └──► another server is free, or must be waited for ──► over
///       └─────► nobody is left, or the request's time is over ──► over
///
/// It is the line that its exchange stands in (`Exchange.Line`), which ends it when the request leaves or waits no longer.
/// Attempts and outcomes are counted for each server, not for each address of it.
final class Dial: Source {
    private let balancer: Balancer
    let exchange: Exchange
    /// Whose addresses are tried, and those that are left.
    private var pool: ServerPool
    private var addresses: ArraySlice<ServerAddress>
    private var racers: [Racer] = []
    /// Servers that were tried, and of which nobody was told yet what has come of it.
    private var owed: [ServerPool] = []
    /// The last one was not tried for a lack of our own.
    private var isLacking = false

    /// A connection that is being made.
    private struct Racer {
        let end: UpstreamEnd
        /// Keeps it.
        let object: AnyObject
        let pool: ServerPool
        let address: ServerAddress
        /// Monotonic nanoseconds.
        let began: UInt64
    }

    /// What there is to do next.
    private enum Step {
        /// Connections are being made.
        case race
        /// That server has one already, or must be waited for.
        case turn(to: ServerPool)
        case giveUp
    }

    init(_ exchange: Exchange, to pool: ServerPool, by balancer: Balancer) {
        (self.balancer, self.exchange, self.pool) = (balancer, exchange, pool)
        addresses = []
        super.init(loop: balancer.worker.loop, fd: -1, flow: balancer.worker.loop.commonFlow)
    }

    /// Begins, within the call of whoever wants a connection.
    func begin() -> Balancer.Acquired {
        enter(pool)
        switch advance() {
        case .race:
            exchange.waits(.dial(self), atMost: balancer.connectTimeout)
            setTime()
            return .later
        case .turn(let other):
            loop.close(self)
            return balancer.open(other, for: exchange)
        case .giveUp:
            loop.close(self)
            return .unreachable
        }
    }

    // MARK: What happens to it

    /// A connection stands.
    /// - Parameter begun: what it was begun as, where that was something else.
    func connected(_ end: UpstreamEnd, begunAs begun: OpeningEnd? = nil) {
        let object = begun ?? end.object
        guard let place = racers.firstIndex(where: { $0.object === object }), exchange.isCalled(by: self) else { return }
        let winner = racers.remove(at: place)
        winner.pool.inFlight -= 1
        winner.pool.reached(winner.address)
        // Who was asked well before it and has said nothing yet would hold up the next request as well.
        for racer in racers where loop.now >= racer.began + Limits.raceNanoseconds {
            racer.pool.failed(racer.address, .silent, .late)
            // Of one that was heard of a short while ago nothing is said.
            guard racer.address.standing.rests(at: loop.now), racer.pool !== winner.pool,
                let place = owed.firstIndex(where: { $0 === racer.pool })
            else { continue }
            owed.remove(at: place)
            balancer.record(.unreachable, of: racer.pool, for: exchange)
        }
        owed.removeAll { $0 === winner.pool }
        leave(as: .abandoned)
        exchange.attempts.isBegun = true
        end.use(exchange)
        exchange.acquired(.connection)
    }

    /// A connection could not be made.
    func failed(_ end: UpstreamEnd, _ failure: ConnectFailure) {
        guard let place = racers.firstIndex(where: { $0.object === end.object }) else { return }
        let racer = racers.remove(at: place)
        racer.pool.inFlight -= 1
        racer.pool.failed(racer.address, failure.isSilent ? .silent : .refused, failure)
        judge(racer.pool)
        goOn()
    }

    /// It is time to try another one beside those that say nothing.
    override func expired() { goOn() }

    /// The request's time is over: who has not answered by now can't be connected to.
    func gaveUp() {
        for racer in racers { racer.pool.failed(racer.address, .silent, racer.end.timedOut()) }
        leave(as: .unreachable)
    }

    /// The request wants no connection any more.
    func cancel() { leave(as: .abandoned) }

    // MARK: What it does

    private func goOn() {
        if isClosed { return }
        let step = advance()
        if case .race = step { return setTime() }
        guard exchange.isCalled(by: self) else { return }
        leave(as: .abandoned)
        switch step {
        case .turn(let other): exchange.acquired(balancer.open(other, for: exchange))
        case .race, .giveUp: exchange.acquired(.unreachable)
        }
    }

    /// Begins the next connection that there can be.
    private func advance() -> Step {
        while true {
            while let address = addresses.popFirst() {
                guard balancer.takePlace(at: pool) || takeSilentPlace() else {
                    if !racers.isEmpty {
                        // When its time comes, or one of those fails.
                        addresses.insert(address, at: addresses.startIndex)
                        return .race
                    }
                    addresses = []
                    leavePool()
                    return .turn(to: pool)
                }
                if begin(address) { return .race }
            }
            judge(pool)
            guard let next = balancer.chooseUntried(for: exchange) else { return racers.isEmpty ? .giveUp : .race }
            // A connection that is there already ends the race; who would have to be waited for is not asked during one.
            if next.hasIdle(for: exchange) { return .turn(to: next) }
            guard next.isNamed, balancer.mayConnect(to: next) else {
                if !racers.isEmpty { return .race }
                // Waiting brings nothing that we lack.
                return isLacking ? .giveUp : .turn(to: next)
            }
            enter(next)
        }
    }

    /// All places are taken, one of them by an address that has said nothing for a while: the next one has it. True when the
    /// place is there.
    private func takeSilentPlace() -> Bool {
        let silent = racers.firstIndex { $0.pool === pool && loop.now >= $0.began + Limits.raceNanoseconds }
        guard let silent else { return false }
        let racer = racers.remove(at: silent)
        racer.pool.inFlight -= 1
        racer.pool.failed(racer.address, .silent, .late)
        racer.end.cancel(abort: false)
        return balancer.takePlace(at: pool)
    }

    private func enter(_ next: ServerPool) {
        (pool, addresses, isLacking) = (next, next.addressesToTry()[...], false)
        owed.append(next)
        exchange.begins(at: next)
    }

    /// Another loop has taken the last place: it was no attempt, and must be waited for.
    private func leavePool() {
        owed.removeAll { $0 === pool }
        exchange.leaves(pool)
    }

    /// False where nothing comes of it.
    private func begin(_ address: ServerAddress) -> Bool {
        do throws(SystemError) {
            guard let end = try pool.connect(to: address) else {
                // What we lack no other address has.
                (addresses, isLacking) = ([], true)
                return false
            }
            racers.append(Racer(end: end, object: end.object, pool: pool, address: address, began: loop.now))
            pool.inFlight += 1
            end.race(self)
            return true
        } catch {
            if error.isLack { isLacking = true } else { pool.failed(address, .refused, .system(error.code)) }
            return false
        }
    }

    /// Tells what has come of a server of which nothing is left to try.
    private func judge(_ judged: ServerPool) {
        if judged === pool, !addresses.isEmpty { return }
        guard !racers.contains(where: { $0.pool === judged }), let place = owed.firstIndex(where: { $0 === judged }) else { return }
        owed.remove(at: place)
        balancer.record(isLacking ? .abandoned : .unreachable, of: judged, for: exchange)
    }

    private func setTime() {
        if isClosed { return }
        loop.schedule(self, at: addresses.isEmpty && !balancer.hasOthers ? .max : loop.now + Limits.raceNanoseconds)
    }

    /// It is over: nothing is made any more, and the servers that are still being tried have come to this.
    private func leave(as outcome: AttemptOutcome) {
        loop.close(self)
        for racer in racers {
            racer.pool.inFlight -= 1
            racer.end.cancel(abort: false)
        }
        racers = []
        for pool in owed { balancer.record(outcome, of: pool, for: exchange) }
        owed = []
    }
}
