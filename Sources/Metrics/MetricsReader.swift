/// What readers remember between two renderings: the objects found so far, and which tenants have a name.
struct MetricsReader {
    /// The objects that share one set of labels: one a worker, or many tenants'.
    struct Group<Metrics> {
        var labels: Labels
        var members: [Metrics] = []
    }

    var tenantBudget: Int
    private(set) var named: [Group<TenantMetrics>] = []
    /// Every tenant without a name of its own.
    private(set) var others: [TenantMetrics] = []
    private(set) var upstreams: [Group<UpstreamMetrics>] = []
    private(set) var servers: [Group<ServerMetrics>] = []
    private(set) var listeners: [Group<ListenerMetrics>] = []

    /// Tenants are numbered as they are first seen.
    private var numbers: [String: Int] = [:]
    /// By a tenant's number: its index in `named`, or nil for one of the others.
    private var places: [Int?] = []
    private var upstreamPlaces: [String: Int] = [:]
    private var serverPlaces: [ServerMetrics.Key: Int] = [:]
    private var listenerPlaces: [String: Int] = [:]

    init(tenantBudget: Int) { self.tenantBudget = tenantBudget }

    /// Takes in what the workers have made since the last time.
    mutating func collect(from registry: MetricsRegistry) {
        let workers = registry.all
        name(workers.flatMap { $0.tenants.takeFresh() })
        for upstream in workers.flatMap({ $0.upstreams.takeFresh() }) {
            Self.join(&upstreams, &upstreamPlaces, upstream, upstream.upstream) { Labels("upstream", $0) }
        }
        for server in workers.flatMap({ $0.servers.takeFresh() }) {
            Self.join(&servers, &serverPlaces, server, server.key) { key in
                var labels = Labels("upstream", key.upstream)
                labels.add("server", key.server)
                return labels
            }
        }
        for listener in workers.flatMap({ $0.listeners.takeFresh() }) {
            Self.join(&listeners, &listenerPlaces, listener, listener.listener) { Labels("listener", $0) }
        }
    }

    /// Decides, once and for all, under which label a tenant counts. A counter may never fall and never jump, so a
    /// tenant cannot move between its name and `_other`: what was counted on one side would have to be taken back
    /// there, or would be in the sum twice. So the places go to the busiest of those that came since the last
    /// rendering, as long as there are places, and everyone who comes later is one of the others until the process
    /// ends. An id that would be taken for one of our own labels never gets a name: two series of the same labels make
    /// a scraper refuse the whole text.
    private mutating func name(_ fresh: [TenantMetrics]) {
        guard !fresh.isEmpty else { return }
        let known = places.count
        numbers.reserveCapacity(known + fresh.count)
        var numbered: [Int] = []
        numbered.reserveCapacity(fresh.count)
        // By number, without those known before.
        var strangers: [(id: String, requests: UInt64)] = []
        for metrics in fresh {
            let number = numbers[metrics.tenant] ?? known + strangers.count
            if number == known + strangers.count {
                numbers[metrics.tenant] = number
                strangers.append((metrics.tenant, 0))
            }
            if number >= known { strangers[number - known].requests &+= metrics.requests }
            numbered.append(number)
        }
        decide(strangers)
        for (metrics, number) in zip(fresh, numbered) {
            if let place = places[number] { named[place].members.append(metrics) } else { others.append(metrics) }
        }
    }

    /// Gives each of the strangers, in their order, a place in `named` or none.
    private mutating func decide(_ strangers: [(id: String, requests: UInt64)]) {
        let free = max(0, tenantBudget - named.count)
        var threshold: UInt64 = 0
        // Of those that are as busy as the last one chosen, the first are taken.
        var ties = strangers.count
        if strangers.count > free {
            let ranked = strangers.map(\.requests).sorted(by: >)
            threshold = free > 0 ? ranked[free - 1] : .max
            ties = free - ranked.prefix(free).count { $0 > threshold }
        }
        for stranger in strangers {
            var chosen = stranger.requests > threshold
            if stranger.requests == threshold, ties > 0 {
                ties -= 1
                chosen = true
            }
            if chosen, stranger.id != "", stranger.id != "_none", stranger.id != "_other" {
                places.append(named.count)
                named.append(Group(labels: Labels("tenant", stranger.id)))
            } else {
                places.append(nil)
            }
        }
    }

    private static func join<Key: Hashable, Metrics>(
        _ groups: inout [Group<Metrics>], _ places: inout [Key: Int], _ metrics: Metrics, _ key: Key,
        labels: (Key) -> Labels
    ) {
        if let place = places[key] {
            groups[place].members.append(metrics)
        } else {
            places[key] = groups.count
            groups.append(Group(labels: labels(key), members: [metrics]))
        }
    }
}
