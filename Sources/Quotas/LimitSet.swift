import Base
import Configuration
import Storage

/// One limit of a level, ready to be counted.
public struct Limit: Sendable {
    public enum Kind: Sendable {
        case rate(TokenBucket)
        case quota(QuotaWindow, QuotaSettings.Period)
        case concurrency(UInt64)
    }

    public let kind: Kind
    public let cell: Meter.Cell
    /// Never refuses.
    public let isShadow: Bool
    /// How much there is of it when nothing is used.
    public let size: UInt64
}

/// A level as the request path goes through it: no reference in it, so that nothing is counted up and down on the way.
/// The `LimitSet` that it is of must be kept by somebody.
struct Level: Sendable {
    let meter: Meter
    nonisolated(unsafe) let limits: UnsafePointer<Limit>
    let count: Int
    /// A limit refuses.
    let hasEnforced: Bool
}

/// The limits of one level (a tenant, a key or a route) in one configuration, and the slot that they are counted in.
/// A tenant without limits has one too: it is what counts its requests.
public final class LimitSet: Sendable {
    public let meter: Meter
    public let usage: UsageSettings
    let resetDay: Int
    public let kind: MeterKind
    public let limits: [Limit]
    /// The same, where no array has to be held on to.
    let level: Level
    /// What each limit is called, for clients, metrics and operators: `rate-second`, `quota-month`, `concurrency`.
    public let names: [String]
    /// A limit refuses.
    let hasEnforced: Bool
    /// Responses are paced.
    public let bandwidth: TokenBucket?
    /// What answers say before the number that is left, for each limit: `"rate-second";r=`.
    let labels: [[UInt8]]
    /// Items of `RateLimit-Policy` without the window of a month, which is not always as long.
    let policies: [[UInt8]]

    /// Takes the settings over into the slot: what is left stays, what is new starts full. For the control thread.
    /// - Parameters:
    ///   - now: the table's time in ticks.
    ///   - calendar: of the wall clock.
    public init(_ usage: UsageSettings, kind: MeterKind, meter: Meter, now: UInt64, calendar: QuotaCalendar) {
        (self.usage, self.kind, self.meter, resetDay) = (usage, kind, meter, usage.quotaResetDay)
        var limits: [Limit] = []
        var names: [String] = []
        let prefix = kind == .tenant ? "" : kind == .key ? "key-" : "route-"
        for (rate, cell, name) in Self.assignBuckets(usage.rates, meter) {
            let bucket = TokenBucket(count: rate.count, period: rate.length, burst: rate.burst)
            bucket.adopt(.bucket(cell), setting: .bucketSetting(cell), of: meter, at: now)
            limits.append(
                Limit(kind: .rate(bucket), cell: .bucket(cell), isShadow: rate.isShadow, size: bucket.burst))
            names.append(prefix + name)
        }
        for period in QuotaSettings.Period.allCases {
            let cell = Meter.Cell.window(period.rawValue)
            let quota = usage.quotas.first { $0.period == period }
            let present = calendar.period(period, resetDay: usage.quotaResetDay)
            QuotaWindow.adopt(cell, of: meter, period: present, isNew: quota == nil)
            guard let quota else { continue }
            limits.append(
                Limit(
                    kind: .quota(QuotaWindow(limit: quota.count), period), cell: cell, isShadow: quota.isShadow,
                    size: quota.count))
            names.append("\(prefix)quota-\(period)")
        }
        if let most = usage.concurrency {
            limits.append(
                Limit(
                    kind: .concurrency(most.count), cell: .inFlight, isShadow: most.isShadow, size: most.count))
            names.append(prefix + "concurrency")
        }
        if let pace = usage.bandwidth {
            let bucket = TokenBucket(count: pace.rate, period: 1_000_000_000, burst: pace.burst)
            bucket.adopt(.bandwidth, setting: .bandwidthSetting, of: meter, at: now)
            bandwidth = bucket
        } else {
            meter.store(0, to: .bandwidthSetting)
            bandwidth = nil
        }
        self.limits = limits
        self.names = names
        hasEnforced = limits.contains { !$0.isShadow }
        let room = UnsafeMutablePointer<Limit>.allocate(capacity: max(limits.count, 1))
        room.initialize(from: limits, count: limits.count)
        level = Level(meter: meter, limits: room, count: limits.count, hasEnforced: hasEnforced)
        labels = names.map { Array("\"\($0)\";r=".utf8) }
        policies = zip(limits, names).map { Array("\"\($1)\";\(Self.policy($0))".utf8) }
    }

    deinit { level.limits.deallocate() }

    /// A bucket keeps its cell as long as there is a rate of its name, in whatever order they stand.
    private static func assignBuckets(_ rates: [RateSettings], _ meter: Meter) -> [(RateSettings, Int, String)] {
        var wanted: [(rate: RateSettings, code: UInt16, name: String)] = []
        var seen: [RateSettings.Period: UInt16] = [:]
        for rate in rates.prefix(Meter.Cell.buckets) {
            let place = seen[rate.period, default: 0]
            seen[rate.period] = place + 1
            let code: UInt16 = rate.period == .second ? 1 : rate.period == .minute ? 2 : 3
            wanted.append((rate, code + 4 * place, "rate-\(rate.period)" + (place == 0 ? "" : "-\(place + 1)")))
        }
        var names = (0..<Meter.Cell.buckets).map { meter.bucketNames >> UInt16($0 * 4) & 15 }
        for cell in names.indices where !wanted.contains(where: { $0.code == names[cell] }) {
            names[cell] = 0
            meter.store(0, to: .bucketSetting(cell))
        }
        var assigned: [(RateSettings, Int, String)] = []
        for one in wanted {
            let cell = names.firstIndex(of: one.code) ?? names.firstIndex(of: 0)!
            names[cell] = one.code
            assigned.append((one.rate, cell, one.name))
        }
        meter.bucketNames = names.enumerated().reduce(0) { $0 | $1.element << UInt16($1.offset * 4) }
        return assigned
    }

    /// `"rate-second";q=100;w=1`. Of a bucket: what may come at once and the time in which so much comes, or what comes
    /// in a period where that is more.
    private static func policy(_ limit: Limit) -> String {
        switch limit.kind {
        case .rate(let bucket):
            let second = 1_000_000_000 * MeterTable.ticksPerNanosecond
            let seconds = max(1, (bucket.span + second / 2) / second)
            let tokens = max(bucket.burst, (second << 16) / bucket.interval)
            return "q=\(tokens);w=\(seconds)"
        case .quota(let window, .month): return "q=\(window.limit);w="
        case .quota(let window, let period): return "q=\(window.limit);w=\(period == .hour ? 3600 : 86400)"
        case .concurrency(let most): return "q=\(most);qu=\"concurrent-requests\""
        }
    }
}
