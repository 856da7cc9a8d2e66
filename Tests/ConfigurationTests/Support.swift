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
    func door(_ door: DoorSettings) -> String {
        let rules = (door.addresses ?? []).map { rule in
            let (high, low) = (String(rule.block.high, radix: 16), String(rule.block.low, radix: 16))
            return "\(rule.allows ? "+" : "-")\(high):\(low)/\(rule.block.prefix)"
        }
        guard let cors = door.cors, !cors.origins.isEmpty else { return rules.joined(separator: " ") }
        let lists = [cors.origins, cors.methods, cors.headers, cors.exposed].map { $0.joined(separator: ",") }
        let age = cors.maxAge.map(milliseconds) ?? "-"
        return (rules + ["cors"] + lists + ["\(cors.allowsCredentials)", age]).joined(separator: " ")
    }
    add("files", settings.files.joined(separator: " "))
    add("workers", settings.hot.workers.map { "\($0)" } ?? "auto")
    add("state", settings.cold.state)
    add("shutdown_timeout", milliseconds(hot.shutdownTimeout))
    if hot.upgradeTimeout != 3_600_000_000_000 { add("upgrade_timeout", milliseconds(hot.upgradeTimeout)) }
    for block in hot.trustedProxies {
        add("trusted_proxy", "\(String(block.high, radix: 16)):\(String(block.low, radix: 16))/\(block.prefix)")
    }
    if !hot.passFields.isEmpty { add("pass_fields", hot.passFields.joined(separator: " ")) }
    if !hot.via { add("via", "off") }
    if !hot.sharedHosts.isEmpty { add("shared_hosts", hot.sharedHosts.joined(separator: " ")) }
    for listener in hot.listeners {
        add("listen", "\(listener.endpoint.host ?? "*") \(listener.endpoint.port)")
        if let port = listener.httpsPort { add("  redirect", port) }
        if listener.takesProxy { add("  proxy_protocol", "on") }
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
        if upstream.protocols != ["http/1.1"] { add("  protocols", upstream.protocols.joined(separator: " ")) }
        if let version = upstream.proxyProtocol { add("  proxy_protocol", "\(version)") }
        if let tls = upstream.tls {
            add("  tls", "name=\(tls.name ?? "-") ca=\(tls.authorities?.path ?? "-") \(tls.minVersion) verify=\(tls.verifies)")
            if let shown = tls.certificate { add("  certificate", "\(shown.chain) \(shown.key)") }
        }
        if upstream.retry != RetrySettings() {
            let retry = upstream.retry
            add("  retry", "\(retry.tries) \(retry.causes.rawValue) \(retry.budget)% \(milliseconds(retry.backoff)) \(retry.hasBodies)")
        }
        if upstream.idleTimeout != 55_000_000_000 { add("  idle_timeout", milliseconds(upstream.idleTimeout)) }
        if let most = upstream.maxRequests { add("  max_requests", most) }
        if let queue = upstream.queue { add("  queue", "\(queue.size) \(milliseconds(queue.timeout))") }
        for server in upstream.servers {
            let flag = server.flag.map { " \($0.rawValue)" } ?? ""
            add("  server", "\(server.host) \(server.port) weight=\(server.weight)\(flag)")
        }
        if let eject = upstream.eject {
            add(
                "  eject",
                "\(eject.failures) \(milliseconds(eject.time)) \(eject.maxShare)% \(eject.slower.map { "\($0)x" } ?? "-")")
        }
        if let time = upstream.slowStart { add("  slow_start", milliseconds(time)) }
        if let check = upstream.healthCheck {
            add(
                "  health_check",
                "\(check.path) \(milliseconds(check.interval)) \(milliseconds(check.timeout)) \(check.fall) \(check.rise)"
            )
            if check.statuses != 200...399 { add("    status", "\(check.statuses)") }
            if let body = check.body { add("    body", body) }
            if let host = check.host { add("    host", host) }
            if let service = check.grpcService { add("    grpc", "\"\(service)\"") }
            if check.speaksH2 { add("    h2", "on") }
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
        if !tenant.bounds.isEmpty {
            let bounds = [tenant.bounds.connections, tenant.bounds.streams, tenant.bounds.share]
            add("  bounds", bounds.map { $0.map { "\($0)" } ?? "-" }.joined(separator: " "))
        }
        if !tenant.features.isEmpty { add("  features", tenant.features.joined(separator: " ")) }
        if let currency = tenant.prices.currency { add("  currency", currency) }
        for price in tenant.prices.lines { add("  price", "\(price.amount.text(places: 2)) \(price.kind)") }
        for setting in tenant.settings { add("  set", "\(setting.name) \(setting.value)") }
        if !tenant.requestHeaders.isEmpty { add("  request", changes(tenant.requestHeaders)) }
        if !tenant.responseHeaders.isEmpty { add("  response", changes(tenant.responseHeaders)) }
        if !tenant.door.isOpen { add("  door", door(tenant.door)) }
        for route in tenant.routes {
            if route.authenticate != tenant.authenticate { add("  route-authenticate", route.authenticate) }
            add(
                "  route",
                "\(route.meterName) \(route.upstream.map { hot.upstreams[$0].name } ?? "-")"
                    + " response=\(route.responseTimeout.map(milliseconds) ?? "-")"
                    + (route.requirements.isEmpty ? "" : " require=\(route.requirements.map { "\($0.roles) \($0.scopes)" })")
                    + " max_body=\(route.maxBody.map { "\($0)" } ?? "-")"
                    + " request: \(changes(route.requestHeaders)) response: \(changes(route.responseHeaders))")
            if route.door != tenant.door { add("    door", door(route.door)) }
            if let answer = route.answer { add("    answer", "\(answer)") }
            if let delay = route.faults.delay { add("    delay", "\(milliseconds(delay.time)) \(delay.share)%") }
            if let abort = route.faults.abort { add("    abort", "\(abort.status) \(abort.share)%") }
            if let decision = route.decision {
                add(
                    "    authorize",
                    "\(decision.address.isSecure ? "https" : "http") \(decision.address.host) \(decision.address.port)"
                        + " \(decision.address.authority) \(decision.address.target) timeout=\(milliseconds(decision.timeout))"
                        + " cache=\(milliseconds(decision.keepsFor)) \(decision.passesOnError ? "allow" : "deny")"
                        + " request: \(decision.requestFields) response: \(decision.responseFields)")
            }
            if let mirror = route.mirror { add("    mirror", "\(mirror.upstream) \(mirror.share)% body=\(mirror.body)") }
        }
    }
    return lines.joined(separator: "\n")
}
