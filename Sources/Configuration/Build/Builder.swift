import Base

/// Turns checked statements into settings, and judges what one statement alone can't show: names that refer to others,
/// hosts and addresses claimed twice, what is missing.
struct Builder {
    var checker: Checker
    let diagnostics: DiagnosticCollector
    let suggester: Suggester
    var settings = Settings()

    var upstreams: [String: Int] = [:]
    var plans: [String: Layer] = [:]
    var planRoutes: [String: RouteDrafts] = [:]
    /// Who has routes from a plan or from `defaults`, by where they stand.
    var heirs: [Location: Heirs] = [:]
    /// As they stand, until all that they may name is known.
    private var planRouteItems: [String: [Checked]] = [:]
    var issuers: [String: Issuer] = [:]
    var defaults = Defaults()
    /// Who claimed a host first.
    var hostOwners: [String: Claim] = [:]
    var keyOwners: [DigestSettings: Claim] = [:]
    var certificateOwners: [ClientCertificateSettings.Wanted: Claim] = [:]
    /// Where an address was taken first.
    var endpoints: [Endpoint: Location] = [:]
    /// Where listeners want a PROXY header.
    var proxyWords: [Word] = []
    /// `defaults` with a plan on top, by plan; the empty name is `defaults` alone.
    var bases: [String: Layer] = [:]
    /// Plans whose tenants have prices and no currency: that was said.
    var plansWithoutCurrency: Set<String> = []

    /// What `defaults` says beside its layer.
    struct Defaults {
        var layer = Layer()
        var plan: String?
        var upstream: Int?
        /// It names one, perhaps one that does not exist: tenants are not told that they lack it.
        var hasUpstream = false
        var authenticate: [AuthenticationMethod] = []
        var routes = RouteDrafts()
    }

    /// A first claim on something that only one may have.
    struct Claim {
        /// The tenant's id; nil where it is shared.
        var tenant: String?
        var location: Location
        var owner: String { tenant.map { "tenant " + quoted($0) } ?? "`shared_host`" }
    }

    struct Issuer {
        /// Index into the settings' issuers.
        var index: Int
        var hasTenantClaim: Bool
        /// The first tenant that names it.
        var user: (id: String, word: Word)?
    }

    init(_ checker: Checker, diagnostics: DiagnosticCollector, suggester: Suggester) {
        (self.checker, self.diagnostics, self.suggester) = (checker, diagnostics, suggester)
    }

    private var tree: Tree { checker.tree }

    mutating func build() -> Settings {
        settings.files = tree.files.map(\.path)
        settings.cold.state = Path.resolve(settings.cold.state, from: tree.files.first?.folder ?? "")
        let top = checker.top()
        for item in top.items where item.id != .tenant && item.id != .defaults { take(item) }
        // Whatever they refer to is known now, in whichever order the files name it.
        for item in top.items where item.id == .planBlock { takeRoutes(ofPlan: item) }
        for item in top.items where item.id == .defaults { takeDefaults(item) }
        checkListeners(top)
        settings.hot.tenants.reserveCapacity(top.items.count)
        for item in top.items where item.id == .tenant { takeTenant(item) }
        checkHeirs()
        doubt()
        return settings
    }

    private mutating func take(_ item: Checked) {
        switch (item.id, item.values.first) {
        case (.workers, .number(let count)): settings.hot.workers = Int(count)
        case (.workers, _): settings.hot.workers = nil
        case (.state, .text(let path)): (settings.cold.state, settings.places.state) = (path, item.words[0].location)
        case (.shutdownTimeout, .number(let time)): settings.hot.shutdownTimeout = time
        case (.upgradeTimeout, .number(let time)): settings.hot.upgradeTimeout = time
        case (.trustedProxies, _):
            for case (let word, .block(let block)) in zip(item.words, item.values) { takeProxy(block, word) }
        case (.trustedFields, .text(let word)): settings.hot.trustedFields = TrustedFields(rawValue: word) ?? .any
        case (.passFields, _): for case .text(let name) in item.values { settings.hot.passFields.append(name) }
        case (.via, .text(let word)): settings.hot.via = word == "on"
        case (.sharedHost, _): takeSharedHosts(item)
        case (.listen, .endpoint(let endpoint)): takeListener(item, endpoint)
        case (.admin, .endpoint(let endpoint)): takeAdmin(item, endpoint)
        case (.accessLog, .text(let path)): takeAccessLog(item, path)
        case (.problemBase, .text(let url)):
            settings.hot.problemBase = url.hasSuffix("/") || url.hasSuffix("#") ? url : url + "/"
        case (.ledgerInterval, .number(let time)): settings.hot.ledger.interval = time
        case (.ledgerRollup, .text(let period)): settings.hot.ledger.rollup = LedgerSettings.Rollup(rawValue: period) ?? .hour
        case (.ledgerRetention, .number(let time)): settings.hot.ledger.retention = time
        case (.ledgerCompress, .number(let time)): settings.hot.ledger.compression = time
        case (.metricsTenants, .number(let count)): settings.hot.metricsTenants = Int(count)
        case (.limits, _): takeLimits(item)
        case (.overload, _): takeOverload(item)
        case (.upstreamBlock, .text(let name)): takeUpstream(item, name)
        case (.planBlock, .text(let name)): takePlan(item, name)
        case (.jwtBlock, .text(let name)): takeIssuer(item, name)
        default: break
        }
    }

    private mutating func takeProxy(_ block: AddressBlock, _ word: Word) {
        let isEveryIPv4 = block.prefix == 96 && block.high == 0 && block.low == 0xFFFF_0000_0000
        if block.prefix == 0 || isEveryIPv4 {
            diagnostics.warning(at: word, "every client is believed about who it is and where it comes from")
        }
        settings.hot.trustedProxies.append(block)
    }

    private mutating func takeSharedHosts(_ item: Checked) {
        for (word, value) in zip(item.words, item.values) {
            guard case .text(let host) = value, claim(host, at: word, for: nil) else { continue }
            settings.hot.sharedHosts.append(host)
        }
    }

    private mutating func takeAccessLog(_ item: Checked, _ path: String) {
        var log = AccessLogSettings()
        switch (item.words[0].text, item.words[0].isQuoted) {
        case ("off", false): log.target = .off
        case ("stdout", false): log.target = .stdout
        default: log.target = .file(path)
        }
        settings.places.accessLog = item.words[0].location
        log.query = item.option("query") == .text("on")
        settings.hot.accessLog = log
    }

    private mutating func takeOverload(_ item: Checked) {
        for said in checker.block(of: item).items {
            guard case .number(let value) = said.values[0] else { continue }
            switch said.id {
            case .overloadMemory: settings.hot.overload.memory = value
            case .overloadDescriptors: settings.hot.overload.descriptors = value
            case .overloadLag: settings.hot.overload.lag = value
            default: break
            }
        }
    }

    private mutating func takeLimits(_ item: Checked) {
        for limit in checker.block(of: item).items {
            // `off`
            if limit.id == .bodyMinRate, case .text = limit.values[0] { settings.hot.limits.bodyMinRate = 0 }
            if case .countIn(let count, let time) = limit.values[0] {
                (settings.hot.limits.maxResets, settings.hot.limits.maxResetsTime) = (Int(count), time)
            }
            if case .amount(let count, let period) = limit.values[0] {
                settings.hot.limits.addressHandshakes = (count, Quantities.nanoseconds(of: period))
            }
            guard case .number(let value) = limit.values[0] else { continue }
            switch limit.id {
            case .addressConnections: settings.hot.limits.addressConnections = Int(value)
            case .headerTimeout: settings.hot.limits.headerTimeout = value
            case .bodyTimeout: settings.hot.limits.bodyTimeout = value
            case .bodyMinRate: settings.hot.limits.bodyMinRate = value
            case .idleTimeout: settings.hot.limits.idleTimeout = value
            case .maxHeaderSize: settings.hot.limits.maxHeaderSize = Int(value)
            case .maxHeaders: settings.hot.limits.maxHeaders = Int(value)
            case .maxStreams: settings.hot.limits.maxStreams = Int(value)
            case .maxConnections:
                settings.hot.limits.maxConnections = Int(value)
                settings.hot.limits.maxConnectionsLocation = limit.words[0].location
            default: break
            }
        }
    }

    private mutating func takePlan(_ item: Checked, _ name: String) {
        var layer = Layer()
        let items = checker.block(of: item).items
        for said in items where !layer.take(said) && said.id == .route { planRouteItems[name, default: []].append(said) }
        (layer.prices, layer.door) = (prices(of: items), door(of: items))
        plans[name] = layer
    }

    /// Once all upstreams that they may name are known.
    private mutating func takeRoutes(ofPlan item: Checked) {
        guard case .text(let name)? = item.values.first else { return }
        if let items = planRouteItems.removeValue(forKey: name) { planRoutes[name] = drafts(items, .plan) }
    }

    private mutating func takeDefaults(_ item: Checked) {
        let block = checker.block(of: item)
        defaults.hasUpstream = block.has(.upstream)
        (defaults.layer.prices, defaults.layer.door) = (prices(of: block.items), door(of: block.items))
        defaults.routes = drafts(block.items.filter { $0.id == .route }, .defaults)
        for said in block.items where !defaults.layer.take(said) {
            switch said.id {
            case .plan: defaults.plan = plan(said.words[0])
            case .upstream: defaults.upstream = upstream(said.words[0])
            case .authenticate: defaults.authenticate = methods(said)
            default: break
            }
        }
    }

    // Names that refer to others

    func plan(_ word: Word) -> String? {
        if plans[word.text] != nil { return word.text }
        unknown("plan", word, plans.keys)
        return nil
    }

    func upstream(_ word: Word) -> Int? {
        if let index = upstreams[word.text] { return index }
        let server = Habits.server(word.text)
        unknown(
            "upstream", word, upstreams.keys,
            suggestion: server.map { "write `upstream NAME;` here, and `upstream NAME { server \($0); }` at the top level" })
        return nil
    }

    /// - Parameter suggestion: what to do about it; nil for the name that was probably meant.
    func unknown(_ kind: String, _ word: Word, _ names: some Sequence<String>, suggestion: String? = nil) {
        if checker.faulty.contains(word.text) { return }
        diagnostics.error(
            at: word, "there is no \(kind) \(quoted(word.text))",
            suggestion: suggestion ?? suggester.suggestion(for: word.text, among: names))
    }

    /// Takes a host for a tenant, or says who has it.
    mutating func claim(_ host: String, at word: Word, for tenant: String?) -> Bool {
        if let earlier = hostOwners.updateValue(Claim(tenant: tenant, location: word.location), forKey: host) {
            hostOwners[host] = earlier
            let again = earlier.tenant == tenant ? "stands twice" : "belongs to \(earlier.owner) already"
            diagnostics.error(at: word, "host \(quoted(host)) \(again) (\(place(earlier.location)))")
            return false
        }
        return true
    }

    func place(_ location: Location) -> String { "\(tree.files[location.file].path):\(location.line)" }
}
