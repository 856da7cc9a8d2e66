import Base

extension Builder {
    mutating func takeTenant(_ item: Checked) {
        let word = item.words[0]
        var tenant = TenantSettings(id: word.text, location: word.location)
        // Metrics count under these names what has no name of its own, and what is nobody's.
        if tenant.id == "_other" || tenant.id == "_none" {
            diagnostics.error(at: word, "\(quoted(tenant.id)) can't be a tenant's id: metrics use it")
        }
        let block = checker.block(of: item)
        var layer = Layer()
        let routes = drafts(block.items.filter { $0.id == .route }, .tenant)
        var keys: [Word] = []
        tenant.plan = block.has(.plan) ? nil : defaults.plan
        tenant.upstream = block.has(.upstream) ? nil : defaults.upstream
        tenant.authenticate = defaults.authenticate
        var namespace = word
        for said in block.items where !layer.take(said) {
            switch said.id {
            case .plan: tenant.plan = plan(said.words[0])
            case .upstream: tenant.upstream = upstream(said.words[0])
            case .host:
                for case (let word, .text(let host)) in zip(said.words, said.values)
                where claim(host, at: word, for: tenant.id) {
                    tenant.hosts.append(host)
                }
            case .namespace: (tenant.namespace, namespace) = (said.words[0].text, said.words[0])
            case .suspended: tenant.suspended = said.values[0] == .text("on")
            case .authenticate: tenant.authenticate = methods(said)
            case .key: if takeKey(said, &tenant) { keys.append(said.words[0]) }
            case .jwt: for issuer in said.words { use(issuer, by: &tenant) }
            case .clientCertificate: takeClientCertificate(said, &tenant)
            case .routesOnly: tenant.routesOnly = true
            default: break
            }
        }
        (layer.prices, layer.door) = (prices(of: block.items), door(of: block.items))
        layer = base(tenant.plan).under(layer)
        tenant.prices = layer.prices
        checkCurrency(tenant, at: word)
        tenant.maxBody = layer.maxBody
        tenant.weight = Int(layer.weight ?? 1)
        tenant.bounds = layer.bounds
        tenant.usage = layer.usage.settings
        checkRates(tenant.usage, word)
        checkCost(tenant.usage.cost, tenant.usage.quotas, word)
        for (key, word) in zip(tenant.keys, keys) { checkCost(tenant.usage.cost, key.usage.quotas, word) }
        tenant.features = layer.features.filter(\.isOn).map(\.name)
        tenant.settings = layer.settings
        (tenant.requestHeaders, tenant.responseHeaders) = (layer.requestHeaders, layer.responseHeaders)
        let hasUpstream = block.has(.upstream) || defaults.hasUpstream
        (tenant.strictPaths, tenant.door) = (layer.strictPaths, layer.door)
        takeRoutes(routes, layer, hasUpstream, &tenant, at: word)
        if diagnostics.errorCount == 0 { checkBrowserFields(tenant, at: word) }
        if !hasUpstream, !block.hasUnknown, !tenant.routesOnly, !tenant.routes.contains(where: \.isForAll) {
            diagnostics.error(
                at: word,
                "tenant \(quoted(tenant.id)) has no upstream: neither its own, nor one of `defaults`, nor a route `/`")
        }
        checkReachable(word, block)
        checkCredentials(tenant, word, block)
        checkTemplates(tenant, namespace, word)
        settings.hot.tenants.append(tenant)
    }

    /// `defaults` with the plan on top.
    private mutating func base(_ plan: String?) -> Layer {
        let name = plan ?? ""
        if let known = bases[name] { return known }
        let base = plans[name].map(defaults.layer.under) ?? defaults.layer
        bases[name] = base
        return base
    }

    /// A request that costs more than a quota would never be let in.
    func checkCost(_ cost: UInt64, _ quotas: [QuotaSettings], _ word: Word) {
        for quota in quotas where !quota.isShadow && cost > quota.count {
            return diagnostics.error(
                at: word,
                "\(quoted(word.text)) lets nothing in: a request costs \(cost), and its quota is \(quota.count)/\(quota.period)",
                suggestion: "lower `cost`, or raise the quota")
        }
    }

    /// A slot of the meter table has three buckets, and a bucket must fill in the lifetime of the table's clock.
    func checkRates(_ usage: UsageSettings, _ word: Word) {
        if usage.rates.count > 3 {
            diagnostics.error(at: word, "\(quoted(word.text)) has \(usage.rates.count) rates: at most three hold together")
        }
        for rate in usage.rates where rate.burst * (rate.length / 1_000_000_000) / rate.count > 3650 * 86400 {
            diagnostics.error(
                at: word, "a rate of \(quoted(word.text)) needs more than ten years to fill its burst of \(rate.burst)")
        }
    }

    private func checkReachable(_ word: Word, _ block: Block) {
        guard block.lacks(.host) else { return }
        if !block.has(.key) && !block.has(.jwt) {
            diagnostics.error(
                at: word, "tenant \(quoted(word.text)) can't be reached: it has no host and no credentials",
                suggestion: "add `host NAME;`")
        } else if settings.hot.sharedHosts.isEmpty, diagnostics.errorCount == 0 {
            diagnostics.error(
                at: word, "tenant \(quoted(word.text)) can't be reached: it has no host, and there is no `shared_host`")
        }
    }

    /// `{namespace}` and `{tenant}` become one label, or a part of one, of a server's name: a dot in them would make
    /// another tenant's servers out of it.
    private func checkTemplates(_ tenant: TenantSettings, _ namespace: Word, _ id: Word) {
        var checked: Set<Int> = []
        for index in [tenant.upstream] + tenant.routes.flatMap({ [$0.upstream, $0.mirrored] + $0.splits }) {
            guard let index, settings.hot.upstreams[index].isTemplate, checked.insert(index).inserted else { continue }
            let upstream = settings.hot.upstreams[index]
            for server in upstream.servers where server.host.utf8.contains(UInt8(ascii: "{")) {
                for placeholder in Templates.placeholders(of: server.host) {
                    let word = placeholder == "{tenant}" ? id : namespace
                    let value = placeholder == "{tenant}" ? tenant.id : tenant.namespace
                    guard let fault = Hosts.labelFault(value.utf8) else { continue }
                    diagnostics.error(
                        at: word,
                        "\(quoted(value)) can't stand for \(placeholder) in upstream \(quoted(upstream.name)): \(fault)"
                    )
                    return
                }
                let name = Templates.expand(server.host, namespace: tenant.namespace, tenant: tenant.id)
                if let fault = Hosts.nameFault(name) {
                    diagnostics.error(
                        at: id, "\(quoted(name)) of upstream \(quoted(upstream.name)) is not a host: \(fault)")
                    return
                }
            }
        }
    }
}
