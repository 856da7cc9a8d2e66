import Base

/// What one block says about limits; nil is nothing.
struct UsageLayer {
    /// A nearer level that has any rate replaces all of them: otherwise a tenant could not have more than its plan.
    var rates: [RateSettings] = []
    /// By period: a nearer one replaces the one of the same period.
    var quotas: [QuotaSettings] = []
    var concurrency: ConcurrencySettings?
    var bandwidth: BandwidthSettings?
    var cost: UInt64?
    var costHeader: String?
    var charge: ChargeRule?
    var quotaResetDay: Int?
    var fields: RateLimitFields?

    /// False where `item` is about something else.
    mutating func take(_ item: Checked) -> Bool {
        let isShadow = item.option("mode") == .text("shadow")
        switch (item.id, item.values.first) {
        case (.rate, .amount(let count, let unit)):
            rates.append(Self.rate(count, unit, burst: item.option("burst"), isShadow))
        case (.quota, .amount(let count, let unit)): quotas.append(Self.quota(count, unit, isShadow))
        case (.concurrency, .number(let count)): concurrency = ConcurrencySettings(count: count, isShadow: isShadow)
        case (.bandwidth, .amount(let rate, _)):
            var burst = rate
            if case .number(let bytes)? = item.option("burst") { burst = bytes }
            bandwidth = BandwidthSettings(rate: rate, burst: burst)
        case (.cost, .number(let units)): cost = units
        case (.costHeader, .text(let name)): costHeader = name.asciiLowercased
        case (.charge, _): charge = Self.charge(item.words.map(\.text))
        case (.quotaResetDay, .number(let day)): quotaResetDay = Int(day)
        case (.ratelimitHeaders, .text(let kind)): fields = Self.fields(kind)
        default: return false
        }
        return true
    }

    static func rate(_ count: UInt64, _ unit: String, burst: Value?, _ isShadow: Bool) -> RateSettings {
        // Without a burst, what one period allows may come at once.
        var most = min(count, 1_000_000_000)
        if case .number(let burst)? = burst { most = burst }
        let period: RateSettings.Period = unit == "s" ? .second : unit == "m" ? .minute : .hour
        return RateSettings(count: count, period: period, burst: most, isShadow: isShadow)
    }

    static func quota(_ count: UInt64, _ unit: String, _ isShadow: Bool) -> QuotaSettings {
        QuotaSettings(count: count, period: unit == "hour" ? .hour : unit == "day" ? .day : .month, isShadow: isShadow)
    }

    private static func charge(_ words: [String]) -> ChargeRule {
        if words == ["admitted"] { return .admitted }
        var classes: UInt8 = 0
        for word in words {
            guard let digit = word.utf8.first, ASCII.isDigit(digit) else { return .forwarded }
            classes |= 1 << (digit - 0x30)
        }
        return .classes(classes)
    }

    private static func fields(_ kind: String) -> RateLimitFields {
        switch kind {
        case "legacy": .legacy
        case "off": .off
        default: .draft
        }
    }

    func under(_ nearer: UsageLayer) -> UsageLayer {
        var merged = UsageLayer()
        merged.rates = nearer.rates.isEmpty ? rates : nearer.rates
        merged.quotas = quotas.filter { quota in !nearer.quotas.contains { $0.period == quota.period } } + nearer.quotas
        merged.concurrency = nearer.concurrency ?? concurrency
        merged.bandwidth = nearer.bandwidth ?? bandwidth
        merged.cost = nearer.cost ?? cost
        merged.costHeader = nearer.costHeader ?? costHeader
        merged.charge = nearer.charge ?? charge
        merged.quotaResetDay = nearer.quotaResetDay ?? quotaResetDay
        merged.fields = nearer.fields ?? fields
        return merged
    }

    /// Of a route or a key: limits are its own, beside its tenant's, but how requests are counted is inherited.
    func asOwn(beside tenant: UsageLayer) -> UsageLayer {
        var own = self
        own.cost = cost ?? tenant.cost
        own.costHeader = costHeader ?? tenant.costHeader
        own.charge = charge ?? tenant.charge
        own.quotaResetDay = quotaResetDay ?? tenant.quotaResetDay
        own.fields = fields ?? tenant.fields
        return own
    }

    var settings: UsageSettings {
        var settings = UsageSettings()
        settings.rates = rates
        settings.quotas = quotas.sorted { $0.period.rawValue < $1.period.rawValue }
        settings.concurrency = concurrency
        settings.bandwidth = bandwidth
        settings.cost = cost ?? 1
        settings.costHeader = costHeader
        settings.charge = charge ?? .forwarded
        settings.quotaResetDay = quotaResetDay ?? 1
        settings.fields = fields ?? .draft
        return settings
    }
}
