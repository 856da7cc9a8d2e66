import Synchronization

/// Where all metrics are found: the workers' by worker, the process's own here.
///
/// A worker asks once for each of its objects and then writes to it without asking again. Reading takes no lock that a
/// worker could wait for longer than a few instructions.
public final class MetricsRegistry: Sendable {
    let version: String
    /// The stage that the process is in.
    public let overload = Level()
    private let shards = Mutex<[WorkerShard]>([])
    public let ledger = LedgerMetrics()
    let process: @Sendable () -> ProcessStatistics
    let state: Mutex<ProcessState>
    let reader: Mutex<MetricsReader>

    /// `tenantBudget` is the directive `metrics_tenants`, `started` the wall time in nanoseconds at which the first
    /// configuration was loaded, `process` is asked at each rendering.
    public init(
        workers count: Int, version: String, tenantBudget: Int, started: UInt64,
        process: @escaping @Sendable () -> ProcessStatistics = { ProcessStatistics() }
    ) {
        self.version = version
        self.process = process
        state = Mutex(ProcessState(loaded: started, tenantBudget: tenantBudget))
        reader = Mutex(MetricsReader(tenantBudget: tenantBudget))
        makeRoom(forWorkers: count)
    }

    /// So many workers may ask for their metrics from now on. What others have counted stays, whatever becomes of them.
    public func makeRoom(forWorkers count: Int) {
        shards.withLock { shards in while shards.count < count { shards.append(WorkerShard()) } }
    }

    /// Those of all workers that there have been.
    var all: [WorkerShard] { shards.withLock { $0 } }

    private func shard(_ worker: Int) -> WorkerShard { shards.withLock { $0[worker] } }

    public func worker(_ index: Int) -> WorkerMetrics { shard(index).own }

    /// To be asked on the worker's own thread, as the other three: what a thread allocates stays in its own cache
    /// lines.
    public func tenant(_ id: String, worker: Int) -> TenantMetrics {
        shard(worker).tenants.metrics(id, make: TenantMetrics.init)
    }

    public func upstream(_ name: String, worker: Int) -> UpstreamMetrics {
        shard(worker).upstreams.metrics(name, make: UpstreamMetrics.init)
    }

    /// `server` as written in the configuration, of a template the template.
    public func server(_ server: String, of upstream: String, worker: Int) -> ServerMetrics {
        shard(worker).servers.metrics(ServerMetrics.Key(upstream: upstream, server: server), make: ServerMetrics.init)
    }

    /// `endpoint` as written in the configuration.
    public func listener(_ endpoint: String, worker: Int) -> ListenerMetrics {
        shard(worker).listeners.metrics(endpoint, make: ListenerMetrics.init)
    }

    /// Requests and tunnels that clients have open now.
    public var requestsUnderWay: Int {
        all.lazy.flatMap { $0.listeners.all() }.reduce(0) { $0 + Int(clamping: $1.active.value) }
    }

    /// A reload has ended, at `wall` in nanoseconds.
    public func reloaded(successfully success: Bool, at wall: UInt64) {
        state.withLock { state in
            state.lastReloadSucceeded = success
            if success {
                state.reloads &+= 1
                state.lastSuccess = wall
            } else {
                state.failedReloads &+= 1
            }
        }
    }

    /// A fetch of an issuer's key set has ended, at `wall` in nanoseconds, and there are so many keys now.
    public func fetchedKeys(of issuer: String, successfully success: Bool, keys: Int, at wall: UInt64) {
        state.withLock { state in
            var set = state.keySets[issuer] ?? KeySetState()
            set.keys = keys
            if success {
                set.fetches &+= 1
                set.lastSuccess = wall
                set.isStale = false
            } else {
                set.failures &+= 1
            }
            state.keySets[issuer] = set
        }
    }

    /// An issuer's keys are older than they may be: none of them is believed.
    public func keysAreTooOld(of issuer: String) {
        state.withLock { state in
            state.keySets[issuer, default: KeySetState()].isStale = true
            state.keySets[issuer, default: KeySetState()].keys = 0
        }
    }

    /// Gives what limits stand at, to be asked at each rendering for the tenants that have a name.
    public func setQuotas(_ read: @escaping @Sendable (_ tenant: String) -> [QuotaReading]) {
        state.withLock { $0.quotas = read }
    }

    /// Gives how the servers stand, to be asked at each rendering.
    public func setServers(_ read: @escaping @Sendable () -> [ServerReading]) { state.withLock { $0.servers = read } }

    /// The longest that a worker's work waits for its turn, nanoseconds.
    public var lag: UInt64 { all.map { $0.own.lag.value }.max() ?? 0 }

    public func setReady(_ ready: Bool) { state.withLock { $0.ready = ready } }

    /// What the health checks, or the lack of failures, say about a server.
    public func setHealthy(_ healthy: Bool, server: String, of upstream: String) {
        state.withLock { $0.health[ServerMetrics.Key(upstream: upstream, server: server)] = healthy }
    }

    /// After a reload: keeps the health of the servers that are still there and drops that of all others.
    public func keepHealth(of remaining: Set<ServerMetrics.Key>) {
        state.withLock { state in state.health = state.health.filter { remaining.contains($0.key) } }
    }

    /// The listeners of the configuration in force, by their labels: all others leave with their last connection.
    public func keepListeners(_ labels: Set<String>) { state.withLock { $0.listeners = labels } }

    /// A new value of `metrics_tenants`. It decides over tenants not seen before; those that have a name keep it, those
    /// counted as `_other` stay there.
    public func setTenantBudget(_ budget: Int) { state.withLock { $0.tenantBudget = budget } }
}

/// What one worker counts.
final class WorkerShard: Sendable {
    let own = WorkerMetrics()
    let tenants = MetricsTable<String, TenantMetrics>()
    let upstreams = MetricsTable<String, UpstreamMetrics>()
    let servers = MetricsTable<ServerMetrics.Key, ServerMetrics>()
    let listeners = MetricsTable<String, ListenerMetrics>()
}

/// How one limit of a tenant stands.
public struct QuotaReading: Sendable {
    public var policy: String
    public var limit: UInt64
    public var used: UInt64
    public init(policy: String, limit: UInt64, used: UInt64) { (self.policy, self.limit, self.used) = (policy, limit, used) }
}

/// What belongs to the process as a whole, set by the control thread.
struct ProcessState {
    var ready = false
    var reloads: UInt64 = 0
    var failedReloads: UInt64 = 0
    var lastReloadSucceeded = true
    /// Wall time in nanoseconds.
    var lastSuccess: UInt64
    var health: [ServerMetrics.Key: Bool] = [:]
    /// Those of the configuration in force; nil where nobody has said.
    var listeners: Set<String>?
    /// By issuer, of those whose keys come from a URL.
    var keySets: [String: KeySetState] = [:]
    var quotas: @Sendable (_ tenant: String) -> [QuotaReading] = { _ in [] }
    var servers: @Sendable () -> [ServerReading] = { [] }

    /// The reader goes by it from the next rendering on.
    var tenantBudget: Int

    init(loaded wall: UInt64, tenantBudget: Int) { (lastSuccess, self.tenantBudget) = (wall, tenantBudget) }
}

/// What became of fetching one issuer's keys.
struct KeySetState {
    var fetches: UInt64 = 0
    var failures: UInt64 = 0
    var keys = 0
    /// Wall time in nanoseconds; 0 is never.
    var lastSuccess: UInt64 = 0
    /// The keys have become too old to be believed.
    var isStale = false
}
