/// What a tenant, a route or a key may use, and how it is counted. Plan and `defaults` are merged in already.
public struct UsageSettings: Sendable, Hashable {
    /// At most three at a level; all of them hold.
    public var rates: [RateSettings] = []
    /// At most one for each period.
    public var quotas: [QuotaSettings] = []
    public var concurrency: ConcurrencySettings?
    public var bandwidth: BandwidthSettings?
    /// Cost units of a request.
    public var cost: UInt64 = 1
    /// A response field with which the upstream says what a request has cost; lower case.
    public var costHeader: String?
    public var charge = ChargeRule.forwarded
    /// Day of the month on which a month of `quota` begins, 1 to 31; a shorter month's last day stands for it.
    public var quotaResetDay = 1
    public var fields = RateLimitFields.draft
    public init() {}

    /// Whether there is anything to count on a slot of its own.
    public var hasLimits: Bool { !rates.isEmpty || !quotas.isEmpty || concurrency != nil || bandwidth != nil }
}

/// `rate COUNT/s burst=N mode=shadow;`
public struct RateSettings: Sendable, Hashable {
    public enum Period: Sendable { case second, minute, hour }
    public var count: UInt64
    public var period: Period
    public var burst: UInt64
    /// Never refuses; counts what it would have refused.
    public var isShadow: Bool
    public init(count: UInt64, period: Period, burst: UInt64, isShadow: Bool = false) {
        (self.count, self.period, self.burst, self.isShadow) = (count, period, burst, isShadow)
    }

    /// Nanoseconds.
    public var length: UInt64 {
        switch period {
        case .second: 1_000_000_000
        case .minute: 60_000_000_000
        case .hour: 3_600_000_000_000
        }
    }
}

/// `quota COUNT/hour|day|month mode=shadow;`
public struct QuotaSettings: Sendable, Hashable {
    public enum Period: Int, Sendable, CaseIterable { case hour, day, month }
    public var count: UInt64
    public var period: Period
    public var isShadow: Bool
    public init(count: UInt64, period: Period, isShadow: Bool = false) {
        (self.count, self.period, self.isShadow) = (count, period, isShadow)
    }
}

/// `concurrency COUNT mode=shadow;`
public struct ConcurrencySettings: Sendable, Hashable {
    public var count: UInt64
    public var isShadow: Bool
    public init(count: UInt64, isShadow: Bool = false) { (self.count, self.isShadow) = (count, isShadow) }
}

/// `bandwidth SIZE/s burst=SIZE;`
public struct BandwidthSettings: Sendable, Hashable {
    /// Bytes a second.
    public var rate: UInt64
    /// Bytes that may go at once.
    public var burst: UInt64
    public init(rate: UInt64, burst: UInt64) { (self.rate, self.burst) = (rate, burst) }
}

/// Which admitted requests count against a quota, and are charged their cost.
public enum ChargeRule: Sendable, Hashable {
    /// Whatever was forwarded, except when the gateway itself answered 502, 503 or 504.
    case forwarded
    /// Everything that was admitted.
    case admitted
    /// What was forwarded and ended with a status of these classes: bit n stands for nxx.
    case classes(UInt8)
}

/// How a client is told about its limits.
public enum RateLimitFields: Sendable, Hashable {
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
    case draft
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`.
    case legacy
    case off
}
