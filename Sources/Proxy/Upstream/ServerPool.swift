import Base
import Metrics
import Net

/// One loop's connections to one server. Outlives configurations.
final class ServerPool {
    let server: Server
    let worker: Worker
    /// Kept alive and unused, the last used one last: it is taken first, and the others age out.
    private var idle: [H1Upstream] = []
    /// Idle, in use and connecting.
    private(set) var open = 0
    /// Requests under way, for `least_requests`.
    var inFlight = 0
    /// Failed to connect and not tried again before this time, unless every other server is down as well.
    private(set) var restsUntil: UInt64 = 0
    private var failures = 0
    private var nextAddress = 0
    private var version = 0
    /// No connection is kept for a next request any more.
    private(set) var isRetired = false
    let metrics: ServerMetrics
    /// Who waits for a connection, or for a place for one.
    var whenFree: [PlacesTurn] = []

    /// A server that can't be connected to rests this long, doubled with each failure in a row up to the maximum.
    private static let rest: UInt64 = 500_000_000
    private static let restMax: UInt64 = 30_000_000_000
    /// Unused connections are closed after this time: most servers keep theirs for a minute or more.
    static let idleTimeout: UInt64 = 55_000_000_000

    init(server: Server, worker: Worker, metrics: ServerMetrics) {
        (self.server, self.worker, self.metrics) = (server, worker, metrics)
    }

    var hasIdle: Bool { !idle.isEmpty }

    func takeIdle() -> H1Upstream? {
        let current = server.version.load(ordering: .acquiring)
        if current != version {
            version = current
            dropMoved()
        }
        while let connection = idle.popLast() {
            // What is reported of an idle connection is its end.
            if !connection.hasNews { return connection }
            connection.shut()
        }
        return nil
    }

    /// The name points elsewhere now: connections to addresses that are gone are not used again.
    private func dropMoved() {
        let addresses = server.addresses
        for connection in idle where !addresses.contains(connection.address) { connection.shut() }
    }

    func putIdle(_ connection: H1Upstream) {
        idle.append(connection)
        tellWaiting()
    }

    private func tellWaiting() {
        for turn in whenFree { worker.loop.wake(turn, []) }
    }

    /// A connection of this pool was closed.
    func forget(_ connection: H1Upstream) {
        open -= 1
        if let at = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: at) }
        tellWaiting()
    }

    /// Starts a new connection, or nil when there is no address or no socket to be had.
    func connect(timeout: UInt64) -> H1Upstream? {
        let addresses = server.addresses
        server.lastUsed.store(worker.loop.now, ordering: .relaxed)
        guard !addresses.isEmpty else { return nil }
        let address = addresses[nextAddress % addresses.count]
        nextAddress &+= 1
        do {
            let fd = try Socket.connect(address)
            let connection = H1Upstream(worker: worker, fd: fd, pool: self, address: address)
            guard worker.loop.add(connection) else {
                // That is our lack, and nothing is known of the server.
                worker.loop.close(connection)
                return nil
            }
            open += 1
            worker.loop.schedule(connection, at: worker.loop.now + timeout)
            return connection
        } catch {
            if !error.isLack { failed() }
            return nil
        }
    }

    func failed() {
        failures += 1
        restsUntil = worker.loop.now + min(Self.rest << UInt64(min(failures - 1, 6)), Self.restMax)
    }

    func succeeded() {
        if failures > 0 { (failures, restsUntil) = (0, 0) }
    }

    /// The server is no longer in the configuration: none of its connections is kept any more.
    func retire() {
        isRetired = true
        for connection in idle { connection.shut() }
    }
}
