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

    /// Index into `named`, or nil inside for one of the others.
    private var tenantPlaces: [String: Int?] = [:]
    private var upstreamPlaces: [String: Int] = [:]
    private var serverPlaces: [ServerMetrics.Key: Int] = [:]
    private var listenerPlaces: [String: Int] = [:]

    init(tenantBudget: Int) { self.tenantBudget = tenantBudget }

    /// Takes in what the workers have made since the last time.
    mutating func collect(from registry: MetricsRegistry) {
        name(registry.tenants.flatMap { $0.takeFresh() })
        for upstream in registry.upstreams.flatMap({ $0.takeFresh() }) {
            Self.join(&upstreams, &upstreamPlaces, upstream, upstream.upstream) { Labels("upstream", $0) }
        }
        for server in registry.servers.flatMap({ $0.takeFresh() }) {
            Self.join(&servers, &serverPlaces, server, server.key) { key in
                var labels = Labels("upstream", key.upstream)
                labels.add("server", key.server)
                return labels
            }
        }
        for listener in registry.listeners.flatMap({ $0.takeFresh() }) {
            Self.join(&listeners, &listenerPlaces, listener, listener.listener) { Labels("listener", $0) }
        }
    }

    /// Decides, once and for all, under which label a tenant counts. A counter may never fall and never jump, so a tenant
    /// cannot move between its name and `_other`: what was counted on one side would have to be taken back there, or would
    /// be in the sum twice. So the places go to the busiest of those that came since the last rendering, as long as there
    /// are places, and everyone who comes later is one of the others until the process ends. An id that would be taken for
    /// one of our own labels never gets a name: two series of the same labels make a scraper refuse the whole text.
    private mutating func name(_ fresh: [TenantMetrics]) {
        var strangers: [String: [TenantMetrics]] = [:]
        for metrics in fresh {
            switch tenantPlaces[metrics.tenant] {
            case .some(.some(let place)): named[place].members.append(metrics)
            case .some(.none): others.append(metrics)
            case .none: strangers[metrics.tenant, default: []].append(metrics)
            }
        }
        guard !strangers.isEmpty else { return }
        let ranked = strangers.map { id, members in
            (id: id, members: members, requests: members.reduce(UInt64(0)) { $0 &+ $1.requests })
        }.sorted { a, b in a.requests != b.requests ? a.requests > b.requests : a.id < b.id }
        for tenant in ranked {
            if named.count < tenantBudget, tenant.id != "", tenant.id != "_other" {
                tenantPlaces.updateValue(named.count, forKey: tenant.id)
                named.append(Group(labels: Labels("tenant", tenant.id), members: tenant.members))
            } else {
                tenantPlaces.updateValue(.none, forKey: tenant.id)
                others.append(contentsOf: tenant.members)
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
