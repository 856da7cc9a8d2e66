import Configuration
import Crypto
import Proxy

/// What differs between two configurations beside their tenants, a line each, in the operator's words.
struct SettingsChange {
    private(set) var lines: [String] = []

    /// - Parameters:
    ///   - running: the listeners in force.
    ///   - tls: of the new configuration's listeners, nil for plain ones.
    init(from old: Settings, _ running: [ListenerState], to new: Settings, _ tls: [TLSListener?]) {
        listeners(old.hot, running, new.hot, tls)
        upstreams(old.hot.upstreams, new.hot.upstreams)
        issuers(old.hot.issuers, new.hot.issuers)
        limits(old.hot.limits, new.hot.limits)
        let (before, now) = (old.hot, new.hot)
        note("trusted_proxies", before.trustedProxies == now.trustedProxies)
        note("shared_host", before.sharedHosts == now.sharedHosts)
        note("access_log", before.accessLog == now.accessLog)
        note("admin", before.admin == now.admin && before.adminHosts == now.adminHosts)
        note("problem_base", before.problemBase == now.problemBase)
        note("metrics_tenants", before.metricsTenants == now.metricsTenants)
        note("shutdown_timeout", before.shutdownTimeout == now.shutdownTimeout)
        note("ledger_interval", before.ledger.interval == now.ledger.interval)
        note("ledger_rollup", before.ledger.rollup == now.ledger.rollup)
        note("ledger_retention", before.ledger.retention == now.ledger.retention)
        note("ledger_compress", before.ledger.compression == now.ledger.compression)
    }

    private mutating func note(_ name: String, _ isSame: Bool) { if !isSame { lines.append("\(name): changed") } }

    /// - Parameter changes: what of it has changed; empty where nothing has.
    private mutating func note(_ kind: String, _ name: String, _ changes: [(name: String, isSame: Bool)]) {
        let changed = changes.filter { !$0.isSame }.map(\.name)
        if !changed.isEmpty { lines.append("\(kind) \(name): changed (\(changed.joined(separator: ", ")))") }
    }

    /// Those of both, and a line for each of one alone.
    private mutating func common<Key: Hashable, Item>(
        _ kind: String, _ old: [Item], _ new: [Item], by key: (Item) -> Key, named name: (Item) -> String
    ) -> [(Int, Int)] {
        let places = Dictionary(old.indices.map { (key(old[$0]), $0) }, uniquingKeysWith: { first, _ in first })
        let kept = Set(new.map(key))
        var both: [(Int, Int)] = []
        for (place, item) in new.enumerated() {
            if let was = places[key(item)] {
                both.append((was, place))
            } else {
                lines.append("\(kind) \(name(item)): added")
            }
        }
        for item in old where !kept.contains(key(item)) { lines.append("\(kind) \(name(item)): removed") }
        return both
    }

    private mutating func listeners(
        _ old: HotSettings, _ running: [ListenerState], _ new: HotSettings, _ tls: [TLSListener?]
    ) {
        let both = common("listener", old.listeners, new.listeners, by: \.endpoint, named: \.endpoint.label)
        for (was, place) in both {
            let (a, b) = (old.listeners[was].tls, new.listeners[place].tls)
            let (now, before) = (tls[place], running.first { $0.endpoint == new.listeners[place].endpoint }?.tls)
            func pairs(_ tls: TLSSettings?) -> [String]? { tls?.certificates.map { "\($0.chain) \($0.key)" } }
            note(
                "listener", new.listeners[place].endpoint.label,
                [
                    ("tls", (a == nil) == (b == nil)), ("protocols", a?.protocols == b?.protocols),
                    ("min_version", a?.minVersion == b?.minVersion),
                    (
                        "client_ca",
                        a?.clientAuthorities?.path == b?.clientAuthorities?.path
                            && before?.authorities == now?.authorities
                    ),
                    (
                        "certificates",
                        a == nil || b == nil || pairs(a) == pairs(b) && before?.hasSameCertificates(as: now) ?? true
                    ),
                ])
        }
    }

    private mutating func upstreams(_ old: [UpstreamSettings], _ new: [UpstreamSettings]) {
        for (was, place) in common("upstream", old, new, by: \.name, named: \.name) {
            let (a, b) = (old[was], new[place])
            note(
                "upstream", b.name,
                [
                    (
                        "server",
                        a.servers.elementsEqual(b.servers) {
                            ($0.host, $0.port, $0.weight) == ($1.host, $1.port, $1.weight)
                        }
                    ),
                    ("balance", a.balance == b.balance), ("connect_timeout", a.connectTimeout == b.connectTimeout),
                    ("response_timeout", a.responseTimeout == b.responseTimeout),
                    ("max_connections", a.maxConnections == b.maxConnections),
                    ("health_check", a.healthCheck == b.healthCheck),
                ])
        }
    }

    private mutating func issuers(_ old: [IssuerSettings], _ new: [IssuerSettings]) {
        for (was, place) in common("jwt", old, new, by: \.name, named: \.name) where old[was] != new[place] {
            lines.append("jwt \(new[place].name): changed")
        }
    }

    private mutating func limits(_ old: LimitSettings, _ new: LimitSettings) {
        let changes = [
            ("header_timeout", old.headerTimeout == new.headerTimeout),
            ("body_timeout", old.bodyTimeout == new.bodyTimeout),
            ("idle_timeout", old.idleTimeout == new.idleTimeout),
            ("max_header_size", old.maxHeaderSize == new.maxHeaderSize),
            ("max_headers", old.maxHeaders == new.maxHeaders),
            ("max_connections", old.maxConnections == new.maxConnections),
        ]
        let changed = changes.filter { !$0.1 }.map(\.0)
        if !changed.isEmpty { lines.append("limits: changed (\(changed.joined(separator: ", ")))") }
    }
}
