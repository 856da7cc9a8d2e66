import Base
import Metrics
import Net

/// One loop's connections to one server, and what it knows of it. Outlives configurations.
final class ServerPool {
    let server: Server
    let worker: Worker
    let metrics: ServerMetrics
    private var connections = ConnectionPool<H1Upstream>()
    private var standing = Standing()
    /// Requests under way, for `least_requests`.
    var inFlight = 0
    /// Of the server's addresses, as of the last look at them.
    private var version = 0
    /// No connection is kept for a next request any more.
    private(set) var isRetired = false
    /// Who waits for a connection, or for a place for one.
    var whenFree: [PlacesTurn] = []

    /// Unused connections are closed after this time: most servers keep theirs for a minute or more.
    static let idleTimeout: UInt64 = 55_000_000_000

    init(server: Server, worker: Worker, metrics: ServerMetrics) {
        (self.server, self.worker, self.metrics) = (server, worker, metrics)
    }

    /// Health checks say so, or nothing.
    var isHealthy: Bool { server.isHealthy.load(ordering: .relaxed) }

    func rests(at now: UInt64) -> Bool { standing.rests(at: now) }

    // MARK: Connections

    var hasIdle: Bool { connections.hasIdle }
    var open: Int { connections.open }

    func takeIdle() -> H1Upstream? {
        let current = server.version.load(ordering: .acquiring)
        if current != version {
            version = current
            dropMoved()
        }
        while let connection = connections.take() {
            // What is reported of an idle connection is its end.
            if !connection.hasNews { return connection }
            connection.shut()
        }
        return nil
    }

    /// The name points elsewhere now: connections to addresses that are gone are not used again.
    private func dropMoved() {
        let addresses = server.addresses
        for connection in connections.idle where !addresses.contains(connection.address) { connection.shut() }
    }

    func putIdle(_ connection: H1Upstream) {
        connections.put(connection)
        tellWaiting()
    }

    private func tellWaiting() {
        for turn in whenFree { worker.loop.wake(turn, []) }
    }

    /// A connection of this pool was closed.
    /// - Parameter connection: nil for one that is never unused.
    func forget(_ connection: H1Upstream?) {
        if let connection { connections.closed(connection) } else { connections.closed() }
        tellWaiting()
    }

    /// Starts a new connection, or nil where there is no address, or nothing of ours to make one with. Throws where the
    /// server is to blame.
    func connect(timeout: UInt64) throws(SystemError) -> UpstreamEnd? {
        let addresses = server.addresses
        server.lastUsed.store(worker.loop.now, ordering: .relaxed)
        guard !addresses.isEmpty else { return nil }
        let address = addresses[connections.takeAddress(of: addresses.count)]
        do throws(SystemError) {
            guard let connection = try worker.dial(self, address, timeout) else { return nil }
            connections.opened()
            return connection
        } catch {
            if error.isLack { return nil }
            server.connectFailed(error.code)
            throw error
        }
    }

    // MARK: What is known of the server

    /// A new connection stands.
    func reached() { standing.reached() }

    /// For the balancer, to whom outcomes are told.
    func record(_ outcome: AttemptOutcome) {
        standing.record(outcome, at: worker.loop.now)
        server.note(outcome)
        if case .answered(let status) = outcome {
            metrics.finished(code: Int(status))
        } else {
            metrics.finished(code: 0)
        }
    }

    /// The server is no longer in the configuration: none of its connections is kept any more.
    func retire() {
        isRetired = true
        for connection in connections.idle { connection.shut() }
    }
}
