import Base
import Crypto
import Metrics
import Net

/// One loop's connections to one server, and what it knows of it. Outlives configurations.
final class ServerPool {
    let server: Server
    let worker: Worker
    /// The registry keeps them until the process ends.
    private(set) var metrics: Uncounted<ServerMetrics>
    private var connections = ConnectionPool<H1Upstream>()
    /// Those of HTTP/2, which many requests share: open, and taking more.
    private var shared: [H2Upstream] = []
    private(set) var terms = ConnectionTerms()
    /// Its connections are of HTTP/2, or expected to be by what was seen last.
    private(set) var speaksH2 = false
    /// Of TLS, to be resumed under these terms.
    private(set) var sessions = KeptSessions()
    private(set) lazy var tlsMetrics = worker.registry.upstream(server.upstream, worker: worker.index)
    /// Of those, how many are being made.
    private var dialing = 0
    /// And how many take no more and have given their places.
    private var leaving = 0
    private var addresses = ServerAddresses()
    /// Of the server's addresses, as of the last look at them.
    private var version = 0
    /// Requests under way, for `least_requests`.
    var inFlight = 0
    /// No connection is kept for a next request any more.
    private(set) var isRetired = false
    /// Who waits for a connection, or for a place for one: this loop's own, and in front of them what other loops want.
    private var whenFree: [Source] = []
    /// Places that another loop has given, which are taken already.
    private var given = 0
    /// A connection is being closed whose place is another loop's from now on.
    private var isGiving = false
    /// Until then what can't be sent twice goes on no kept connection: monotonic nanoseconds.
    private var distrustedUntil: UInt64 = 0
    /// How long its answers take, where somebody wants to know.
    private(set) var latencies: LatencyCells?
    /// Its name is not looked up before this time only because another server is used meanwhile.
    private var lookedUpUntil: UInt64 = 0

    /// Unused connections are closed after this time.
    var idleTimeout: UInt64 = 55_000_000_000

    init(server: Server, worker: Worker, metrics: ServerMetrics) {
        (self.server, self.worker, self.metrics) = unsafe (server, worker, Uncounted(metrics))
    }

    /// Health checks say so, or nothing.
    var isHealthy: Bool { server.isHealthy }

    /// None of its addresses can be connected to at the moment.
    func rests(at now: UInt64) -> Bool { addresses.restsUntil > now }

    // MARK: Addresses

    /// Its name has been found.
    var isNamed: Bool {
        look()
        return !addresses.all.isEmpty
    }

    /// In the order in which a new connection tries them.
    func addressesToTry() -> [ServerAddress] {
        look()
        return addresses.order(at: worker.loop.now)
    }

    @inline(__always)
    private func look() {
        let current = server.version.load(ordering: .acquiring)
        if current != version { adopt(current) }
    }

    /// The name points elsewhere now, or checks of an address say something else: connections to those that are gone or
    /// down are not used again.
    private func adopt(_ current: Int) {
        version = current
        let (all, down) = server.reachable
        addresses.adopt(all, down: down)
        closeStrangers()
    }

    /// Unused connections that are of no use any more.
    private func closeStrangers() {
        for connection in connections.idle where !addresses.areGood(connection.address) { connection.shut() }
        for connection in shared where !addresses.areGood(connection.address) { connection.leave() }
    }

    /// Has its name looked up, while requests go elsewhere.
    func lookUp() {
        let now = worker.loop.now
        if lookedUpUntil > now { return }
        lookedUpUntil = now + Limits.lookUpRetryNanoseconds
        worker.lookUp(server)
    }

    // MARK: Terms

    /// Another configuration's. Connections that were made under others end, with their requests.
    func adopt(_ next: ConnectionTerms) {
        if next == terms { return }
        (terms, speaksH2, sessions) = (next, next.speaksH2, KeptSessions())
        addresses.renew()
        closeStrangers()
    }

    /// What a new connection speaks. Where servers of both kinds are behind one name, those that many share are asked first.
    /// - Parameter made: what it was made under. Of others it tells nothing.
    func speaks(h2: Bool, under made: ConnectionTerms) {
        if made == terms { speaksH2 = h2 || !shared.isEmpty }
        if !h2 { tellWaiting() }
    }

    /// A new connection is expected to be one that many share.
    var expectsShared: Bool { speaksH2 && terms.proxy == nil }

    /// One that is expected to be such is being made.
    func dials() { dialing += 1 }

    // MARK: Connections

    /// There is a kept connection for whoever comes: one to go on, or, where each serves one client, one to have the place of.
    var hasIdle: Bool { connections.hasIdle || shared.contains { terms.proxy == nil ? $0.canOpen : $0.isUnused } }

    /// One that many can share is being made: whoever comes meanwhile waits for it.
    var isDialing: Bool { speaksH2 && dialing > 0 }

    /// Whether there is a kept connection that this request may go on.
    func hasIdle(for exchange: Exchange) -> Bool {
        let isOnes = connections.idle.contains { $0.serves(exchange) } && mayTakeIdle(for: exchange)
        return isOnes || shared.contains { $0.canOpen && $0.serves(exchange) }
    }

    /// What can't be sent twice goes on no kept connection of a server that closes them at once.
    private func mayTakeIdle(for exchange: Exchange) -> Bool {
        !exchange.attempts.wantsFresh && (exchange.request.isRepeatable || worker.loop.now >= distrustedUntil)
    }
    var open: Int { connections.open }

    /// A kept connection that this request may go on.
    func takeIdle(for exchange: Exchange) -> H1Upstream? {
        look()
        let isRepeatable = exchange.request.isRepeatable
        guard mayTakeIdle(for: exchange) else { return nil }
        while let connection = terms.proxy == nil ? connections.take() : connections.take(where: { $0.serves(exchange) }) {
            // What is reported of an idle connection is its end. What can't be sent twice asks the kernel as well: the end
            // may have come since the loop last looked; and so may the body of an answer that has none.
            let isSure = isRepeatable && !connection.hadNoBody
            if !connection.hasNews, isSure || Socket.isQuiet(connection.fd) { return connection }
            connection.shut()
        }
        return nil
    }

    /// A place on a connection that takes more requests: on the fullest one, so that others age out.
    /// - Parameter withRoom: one that takes bytes of bodies now.
    func takeShared(for exchange: Exchange, withRoom: Bool) -> H2UpstreamStream? {
        look()
        var found: H2Upstream?
        for connection in shared
        where connection.canOpen && connection.streamCount >= found?.streamCount ?? 0 && connection.serves(exchange)
            && (!withRoom || connection.connection.hasRoom) {
            found = connection
        }
        return found.map { worker.takeStream(on: $0) }
    }

    /// A connection of HTTP/2 stands. False where its address has gone meanwhile, or the terms that it was made under.
    func opened(_ connection: H2Upstream) -> Bool {
        guard addresses.areGood(connection.address), !isRetired else { return false }
        shared.append(connection)
        return true
    }

    /// It takes no more requests, or has never stood.
    func left(_ connection: H2Upstream) {
        if let at = shared.firstIndex(where: { $0 === connection }) { shared.remove(at: at) }
    }

    /// It takes no more requests, and those on it may go on for long: its place is another one's from now on. Not of too many,
    /// for a server may send away one connection after the other.
    /// - Returns: whether it has given its place.
    func leavesPlace() -> Bool {
        if leaving == Limits.leavingConnections { return false }
        leaving += 1
        forget(nil)
        return true
    }

    /// One that had given its place is closed.
    func forgetLeaving() { leaving -= 1 }

    /// One that many were to share stands, or never will.
    func dialed() { dialing -= 1 }

    /// Closes an unused connection, if there is one, for the sake of its place.
    func closeUnused() -> Bool {
        if let connection = connections.idle.first {
            connection.shut()
            return true
        }
        guard let connection = shared.first(where: { $0.isUnused }) else { return false }
        connection.shut()
        return true
    }

    func putIdle(_ connection: H1Upstream) {
        // Its address has gone meanwhile, or is down.
        guard addresses.areGood(connection.address) else { return connection.shut() }
        connections.put(connection)
        tellWaiting()
    }

    /// The server has closed a kept connection that was unused for so many nanoseconds. One that is closed at once may be
    /// closed under the next request as well.
    func closedByServer(after unused: UInt64) {
        if unused < Limits.keptAtLeastNanoseconds { distrustedUntil = worker.loop.now + Limits.distrustNanoseconds }
    }

    func tellWaiting() {
        for turn in whenFree { worker.loop.wake(turn, []) }
    }

    /// A connection of this pool was closed.
    /// - Parameter connection: nil for one that is never unused.
    func forget(_ connection: H1Upstream?) {
        if let connection { connections.closed(connection) } else { connections.closed() }
        metrics.follow { $0.connections.closed() }
        if isGiving { return }
        server.places.giveBack()
        tellWaiting()
    }

    /// Starts a new connection, which has the place that was taken for it; or nil where there is nothing of ours to make
    /// one with. Where none comes of it the place is free again.
    func connect(to address: ServerAddress) throws(SystemError) -> UpstreamEnd? {
        server.lastUsed.store(worker.loop.now, ordering: .relaxed)
        do throws(SystemError) {
            if let connection = try worker.dial(self, address) {
                connections.opened()
                metrics.follow { $0.connections.opened() }
                if connection.isH2 { dials() }
                return connection
            }
        } catch {
            server.places.giveBack()
            throw error
        }
        server.places.giveBack()
        return nil
    }

    /// Tells metrics how many are unused, and the server that it is in use: now and then, for that changes with each request.
    func tellIdle() {
        // A kept connection may serve for days: its server's name is followed for as long.
        if connections.open > 0 { server.lastUsed.store(worker.loop.now, ordering: .relaxed) }
        let idle = speaksH2 ? shared.count { $0.isUnused } : connections.idle.count
        metrics.follow { $0.connections.set(idle: idle) }
    }

    // MARK: Places
    // All loops together may have `most` connections to the server.

    /// Whether there is a place for another connection: another loop may be faster.
    func hasPlace(most: Int) -> Bool { given > 0 || server.places.count < most }

    /// Takes one, where there is one.
    func takePlace(most: Int) -> Bool {
        if given > 0 {
            given -= 1
            return true
        }
        return server.places.take(upTo: most)
    }

    func watch(_ turn: PlacesTurn) { whenFree.append(turn) }

    func unwatch(_ turn: Source) {
        whenFree.removeAll { $0 === turn }
        returnGiven()
    }

    private var hasWaiting: Bool { whenFree.contains { $0 is PlacesTurn } }

    /// Another loop has given a place.
    func takeGiven() {
        given += 1
        if hasWaiting { tellWaiting() } else { returnGiven() }
    }

    /// Nobody here wants them any more, and somebody else may.
    func returnGiven() {
        if given == 0 { return }
        for _ in 0..<given { server.places.giveBack() }
        given = 0
        tellWaiting()
    }

    /// Another loop wants so many places.
    func wanted(by index: Int, has: Int, count: Int, most: Int) {
        let known = whenFree.lazy.compactMap { $0 as? Want }.first { $0.index == index }
        let want = known ?? Want(self, of: index)
        if known == nil { whenFree.insert(want, at: 0) }
        want.adopt(has: has, count: count, most: most)
    }

    func forget(_ want: Want) {
        whenFree.removeAll { $0 === want }
        worker.loop.close(want)
    }

    /// Whether a loop with so many connections gets a place of this one's.
    func mayGive(toOneWith has: Int) -> Bool { has == 0 || open > has + 1 || !hasWaiting }

    /// Takes a place for another loop: a free one, or that of an unused connection, which is closed.
    func takeAway(most: Int) -> Bool {
        if server.places.take(upTo: most) { return true }
        isGiving = true
        defer { isGiving = false }
        return closeUnused()
    }

    // MARK: What is known of the server

    /// A new connection to that address stands.
    func reached(_ address: ServerAddress) { addresses.reached(address, at: worker.loop.now) }

    /// A connection to that address could not be made.
    /// - Parameter why: for the log; the outcome of the attempt may follow.
    func failed(_ address: ServerAddress, _ failure: Standing.Failure, _ why: ConnectFailure? = nil) {
        addresses.failed(address, failure, at: worker.loop.now)
        if let why { server.connectFailed(why) }
    }

    /// For the balancer, to whom outcomes are told.
    func record(_ outcome: AttemptOutcome) {
        server.note(outcome)
        var code = 0
        if case .answered(let status) = outcome { code = Int(status) }
        metrics.follow { $0.finished(code: code) }
    }

    /// The configuration in force may have another name for its upstream: that is what is counted under from now on.
    func rename() {
        let name = server.upstream
        if metrics.follow({ $0.key.upstream == name }) { return }
        let next = worker.registry.server(server.configured, of: name, worker: worker.index)
        let count = connections.open
        metrics.follow { $0.connections.handOver(count, to: next.connections) }
        metrics = unsafe Uncounted(next)
        tlsMetrics = worker.registry.upstream(name, worker: worker.index)
    }

    /// Somebody wants to know how long its answers take.
    func measure() { if latencies == nil { latencies = server.newLatencies() } }

    /// Connections are kept again, of a pool that was retired with its worker.
    func reopen() { isRetired = false }

    /// The server is no longer in the configuration, or the worker is to have no part in what comes: none of its connections is
    /// kept any more.
    func retire() {
        isRetired = true
        metrics.follow { $0.connections.set(idle: 0) }
        for connection in connections.idle { connection.shut() }
        for connection in shared { connection.leave() }
    }
}
