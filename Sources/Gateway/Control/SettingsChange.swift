import Configuration
import Crypto
import Proxy
import Tenancy

/// What differs between two configurations beside their tenants, a line each, in the operator's words.
struct SettingsChange {
    private(set) var lines: [String] = []

    /// - Parameters:
    ///   - running: the snapshot in force.
    ///   - candidate: what the new settings were read with.
    init(from old: Settings, _ running: Snapshot, to new: Settings, _ candidate: Candidate) {
        listeners(old.hot, running.listeners, new.hot, candidate.tls)
        upstreams(old.hot.upstreams, running.upstreamTLS, new.hot.upstreams, candidate.upstreamTLS)
        issuers(old.hot.issuers, running.directory.issuers, new.hot.issuers, candidate.issuers)
        let (before, now) = (old.hot, new.hot)
        let limits = Self.differences(before.limits.asWritten, now.limits.asWritten)
        if !limits.isEmpty { lines.append("limits: changed (\(limits.joined(separator: ", ")))") }
        let overload = Self.differences(before.overload, now.overload)
        if !overload.isEmpty { lines.append("overload: changed (\(overload.joined(separator: ", ")))") }
        let workers = (ConnectionBudget.workers(before), ConnectionBudget.workers(now))
        if workers.0 != workers.1 { lines.append("workers: \(workers.1) instead of \(workers.0)") }
        note("via", before.via == now.via)
        note("trusted_fields", before.trustedFields == now.trustedFields)
        note("pass_fields", before.passFields == now.passFields)
        note("trusted_proxies", before.trustedProxies == now.trustedProxies)
        note("shared_host", before.sharedHosts == now.sharedHosts)
        note("access_log", before.accessLog == now.accessLog)
        note("admin", before.admin == now.admin && before.adminHosts == now.adminHosts)
        note("problem_base", before.problemBase == now.problemBase)
        note("metrics_tenants", before.metricsTenants == now.metricsTenants)
        note("shutdown_timeout", before.shutdownTimeout == now.shutdownTimeout)
        note("upgrade_timeout", before.upgradeTimeout == now.upgradeTimeout)
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
                    ("tls", (a == nil) == (b == nil)), ("protocols", old.listeners[was].protocols == new.listeners[place].protocols),
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

    private mutating func upstreams(
        _ old: [UpstreamSettings], _ running: [UpstreamTLS?], _ new: [UpstreamSettings], _ read: [UpstreamTLS?]
    ) {
        for (was, place) in common("upstream", old, new, by: \.name, named: \.name) {
            let (a, b) = (old[was], new[place])
            // A server's place in the file is not its own.
            let isSame = a.servers.elementsEqual(b.servers) { Self.differences($0, $1).isEmpty }
            // What its files hold counts as well.
            let changes = [("server", isSame), ("tls", running[was] === read[place])]
            note("upstream", b.name, changes + Self.differences(a, b, except: ["servers", "tls"]).map { ($0, false) })
        }
    }

    private mutating func issuers(
        _ old: [IssuerSettings], _ running: [TokenIssuer], _ new: [IssuerSettings], _ read: [TokenIssuer]
    ) {
        for (was, place) in common("jwt", old, new, by: \.name, named: \.name) {
            // What a URL brings comes when it comes: that is no reload's change.
            let keys = (running[was].keys, read[place].keys)
            let haveSameKeys = keys.1.url != nil || keys.0.keys.digest == keys.1.keys.digest
            if old[was] != new[place] {
                lines.append("jwt \(new[place].name): changed")
            } else if !haveSameKeys {
                lines.append("jwt \(new[place].name): changed (keys)")
            }
        }
    }

    /// The directives whose values differ: a member is called as its directive is, in camel case. Where they stand in the
    /// file makes no difference.
    private static func differences<Block>(_ old: Block, _ new: Block, except: Set<String> = []) -> [String] {
        zip(Mirror(reflecting: old).children, Mirror(reflecting: new).children).compactMap { old, new in
            guard let name = old.label, !name.lowercased().hasSuffix("location"), !except.contains(name),
                String(reflecting: old.value) != String(reflecting: new.value)
            else { return nil }
            return name.reduce(into: "") { text, letter in text += letter.isUppercase ? "_\(letter.lowercased())" : "\(letter)" }
        }
    }
}
