import Configuration
import Foundation

/// Files and variables of a test, held in memory.
func source(_ files: [String: [UInt8]], environment: [String: String] = [:]) -> ConfigurationSource {
    ConfigurationSource(
        read: { path in files[path].map { .success($0) } ?? .failure(.notFound) },
        glob: { pattern in
            let expression =
                "^" + pattern.replacingOccurrences(of: ".", with: "\\.").replacingOccurrences(of: "*", with: "[^/]*")
                + "$"
            return files.keys.filter { $0.range(of: expression, options: .regularExpression) != nil }.sorted()
        },
        environment: { environment[$0] })
}

func load(_ text: String, allowUnsupported: Bool = false) -> LoadedConfiguration {
    load(Array(text.utf8), allowUnsupported: allowUnsupported)
}

func load(_ bytes: [UInt8], allowUnsupported: Bool = false) -> LoadedConfiguration {
    ConfigurationLoader.load("gateway.conf", from: source(["gateway.conf": bytes]), allowUnsupported: allowUnsupported)
}

let casesFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases")

/// The settings as a golden case shows them: one thing a line.
func describe(_ settings: Settings) -> String {
    var lines: [String] = []
    let hot = settings.hot
    func add(_ name: String, _ value: Any) { lines.append("\(name) \(value)") }
    func milliseconds(_ time: UInt64) -> String { "\(time / 1_000_000)ms" }
    func changes(_ list: [HeaderChange]) -> String {
        list.map { "\($0.name)=\($0.value.map { "\"\($0)\"" } ?? "off")" }.joined(separator: " ")
    }
    add("files", settings.files.joined(separator: " "))
    add("workers", settings.cold.workers.map { "\($0)" } ?? "auto")
    add("state", settings.cold.state)
    add("shutdown_timeout", milliseconds(hot.shutdownTimeout))
    for block in hot.trustedProxies {
        add("trusted_proxy", "\(String(block.high, radix: 16)):\(String(block.low, radix: 16))/\(block.prefix)")
    }
    if !hot.passFields.isEmpty { add("pass_fields", hot.passFields.joined(separator: " ")) }
    if !hot.via { add("via", "off") }
    if !hot.sharedHosts.isEmpty { add("shared_hosts", hot.sharedHosts.joined(separator: " ")) }
    for listener in hot.listeners {
        add("listen", "\(listener.endpoint.host ?? "*") \(listener.endpoint.port)")
        if listener.protocols != ["h2", "http/1.1"] { add("  protocols", listener.protocols.joined(separator: " ")) }
        guard let tls = listener.tls else { continue }
        for certificate in tls.certificates { add("  certificate", "\(certificate.chain) \(certificate.key)") }
        add("  tls", "\(tls.minVersion)")
    }
    if let admin = hot.admin { add("admin", ([admin.host ?? "*", "\(admin.port)"] + hot.adminHosts).joined(separator: " ")) }
    add("access_log", "\(hot.accessLog.target) query=\(hot.accessLog.query)")
    add("problem_base", hot.problemBase)
    add("metrics_tenants", hot.metricsTenants)
    if hot.ledger != LedgerSettings() {
        let retention = hot.ledger.retention.map(milliseconds) ?? "-"
        add("ledger", "\(milliseconds(hot.ledger.interval)) \(hot.ledger.rollup) \(retention)")
    }
    let limits = hot.limits
    add(
        "limits",
        "\(milliseconds(limits.headerTimeout)) \(milliseconds(limits.bodyTimeout)) \(milliseconds(limits.idleTimeout))"
            + " \(limits.maxHeaderSize) \(limits.maxHeaders) \(limits.maxConnections)")
    if (limits.maxStreams, limits.maxResets, limits.maxResetsTime) != (100, 100, 10_000_000_000) {
        add("  streams", "\(limits.maxStreams) \(limits.maxResets)/\(milliseconds(limits.maxResetsTime))")
    }
    if limits.bodyMinRate != 100 { add("  body_min_rate", limits.bodyMinRate) }
    for upstream in hot.upstreams {
        add(
            "upstream",
            "\(upstream.name) \(upstream.balance) connect=\(milliseconds(upstream.connectTimeout))"
                + " response=\(milliseconds(upstream.responseTimeout)) max=\(upstream.maxConnections)")
        for server in upstream.servers { add("  server", "\(server.host) \(server.port) weight=\(server.weight)") }
        if let check = upstream.healthCheck {
            add(
                "  health_check",
                "\(check.path) \(milliseconds(check.interval)) \(milliseconds(check.timeout)) \(check.fall) \(check.rise)"
            )
        }
    }
    for issuer in hot.issuers {
        add("jwt", "\(issuer.name) \(issuer.issuer) \(issuer.keys) leeway=\(milliseconds(issuer.leeway)) age=\(milliseconds(issuer.keysMaxAge))")
        add("  algorithms", issuer.algorithms.joined(separator: " "))
        if !issuer.audiences.isEmpty { add("  audience", issuer.audiences.joined(separator: " ")) }
        if let claim = issuer.tenantClaim { add("  tenant_claim", claim) }
        for header in issuer.claimHeaders { add("  claim_header", "\(header.claim) \(header.header)") }
    }
    for tenant in hot.tenants {
        add("tenant", tenant.id)
        if !tenant.authenticate.isEmpty { add("  authenticate", tenant.authenticate) }
        for key in tenant.keys {
            add("  key", "\(key.name ?? "-") expires=\(key.expires.map { "\($0)" } ?? "-")")
        }
        if !tenant.issuers.isEmpty { add("  jwt", tenant.issuers.map { hot.issuers[$0].name }.joined(separator: " ")) }
        for certificate in tenant.clientCertificates {
            switch certificate.wanted {
            case .any: add("  client_certificate", "any")
            case .fingerprint(let digest): add("  client_certificate", String(digest.words[0].bigEndian, radix: 16))
            case .subject(let subject, let issuer): add("  client_certificate", "\(subject) \(issuer)")
            }
        }
        add("  plan", tenant.plan ?? "-")
        add("  hosts", tenant.hosts.joined(separator: " "))
        add("  upstream", tenant.upstream.map { hot.upstreams[$0].name } ?? "-")
        add("  namespace", tenant.namespace)
        if tenant.suspended { add("  suspended", "on") }
        add("  max_body", tenant.maxBody.map { "\($0)" } ?? "-")
        add("  weight", tenant.weight)
        if !tenant.features.isEmpty { add("  features", tenant.features.joined(separator: " ")) }
        if let currency = tenant.prices.currency { add("  currency", currency) }
        for price in tenant.prices.lines { add("  price", "\(price.amount.text(places: 2)) \(price.kind)") }
        for setting in tenant.settings { add("  set", "\(setting.name) \(setting.value)") }
        if !tenant.requestHeaders.isEmpty { add("  request", changes(tenant.requestHeaders)) }
        if !tenant.responseHeaders.isEmpty { add("  response", changes(tenant.responseHeaders)) }
        for route in tenant.routes {
            if route.authenticate != tenant.authenticate { add("  route-authenticate", route.authenticate) }
            add(
                "  route",
                "\(route.path) \(route.upstream.map { hot.upstreams[$0].name } ?? "-")"
                    + " response=\(route.responseTimeout.map(milliseconds) ?? "-")"
                    + " max_body=\(route.maxBody.map { "\($0)" } ?? "-")"
                    + " request: \(changes(route.requestHeaders)) response: \(changes(route.responseHeaders))")
        }
    }
    return lines.joined(separator: "\n")
}
