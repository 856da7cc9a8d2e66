import Base
import Configuration
import Storage

/// What the limits of a level are, whoever they are of: the tenants of a plan share one, or a hundred thousand of them
/// would say the same in as many texts.
final class LimitRules: Sendable {
    /// All that the rules follow from.
    struct Key: Hashable {
        var usage: UsageSettings
        var kind: MeterKind
        /// Of the slot, before: a bucket keeps its cell as long as there is a rate of its name.
        var bucketNames: UInt16
    }

    /// What of them requests go by.
    struct Record {
        var limits: UnsafeBufferPointer<Limit>
        /// A limit refuses.
        var hasEnforced: Bool
        /// Requests write more of the slot than its first line.
        var writesMore: Bool
        var fields: RateLimitFields
        var resetDay: Int
        /// Responses are paced.
        var bandwidth: TokenBucket?
        /// Bytes a second.
        var bandwidthRate: UInt64
    }

    let usage: UsageSettings
    let kind: MeterKind
    /// What each limit is called.
    let names: [String]
    /// What the buckets are called from now on.
    private let bucketNames: UInt16
    nonisolated(unsafe) let record: UnsafePointer<Record>
    /// The limits and their texts.
    private nonisolated(unsafe) let room: UnsafeMutableBufferPointer<Limit>
    private nonisolated(unsafe) let texts: UnsafeMutableBufferPointer<UInt8>

    var limits: UnsafeBufferPointer<Limit> { UnsafeBufferPointer(room) }

    init(_ key: Key) {
        (usage, kind) = (key.usage, key.kind)
        let prefix = kind == .tenant ? "" : kind == .key ? "key-" : "route-"
        var limits: [Limit] = []
        var names: [String] = []
        let buckets = Self.assignBuckets(usage.rates, key.bucketNames)
        bucketNames = buckets.names
        for (rate, cell, name) in buckets.assigned {
            let bucket = TokenBucket(count: rate.count, period: rate.length, burst: rate.burst)
            limits.append(
                Limit(kind: .rate(bucket), cell: .bucket(cell), isShadow: rate.isShadow, size: bucket.burst))
            names.append(prefix + name)
        }
        for quota in usage.quotas.sorted(by: { $0.period.rawValue < $1.period.rawValue }) {
            limits.append(
                Limit(
                    kind: .quota(QuotaWindow(limit: quota.count), quota.period), cell: .window(quota.period.rawValue),
                    isShadow: quota.isShadow, size: quota.count))
            names.append("\(prefix)quota-\(quota.period)")
        }
        if let most = usage.concurrency {
            limits.append(
                Limit(
                    kind: .concurrency(most.count), cell: .inFlight, isShadow: most.isShadow, size: most.count))
            names.append(prefix + "concurrency")
        }
        self.names = names
        let written = zip(limits, names).map { (Array("\"\($1)\";r=".utf8), Array("\"\($1)\";\(Self.policy($0))".utf8)) }
        let texts = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: written.reduce(1) { $0 + $1.0.count + $1.1.count })
        var end = 0
        func keep(_ text: [UInt8]) -> UnsafeRawBufferPointer {
            defer { end += text.count }
            _ = texts[end...].initialize(fromContentsOf: text)
            return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(texts)[end..<(end + text.count)])
        }
        self.texts = texts
        for i in limits.indices { (limits[i].label, limits[i].policy) = (keep(written[i].0), keep(written[i].1)) }
        room = .allocate(capacity: limits.count)
        _ = room.initialize(fromContentsOf: limits)
        let record = UnsafeMutablePointer<Record>.allocate(capacity: 1)
        record.initialize(
            to: Record(
                limits: UnsafeBufferPointer(room), hasEnforced: limits.contains { !$0.isShadow },
                writesMore: usage.bandwidth != nil || limits.contains { $0.cell.isFurther }, fields: usage.fields,
                resetDay: usage.quotaResetDay,
                bandwidth: usage.bandwidth.map { TokenBucket(count: $0.rate, period: 1_000_000_000, burst: $0.burst) },
                bandwidthRate: usage.bandwidth?.rate ?? .max))
        self.record = UnsafePointer(record)
    }

    deinit {
        record.deallocate()
        room.deallocate()
        texts.deallocate()
    }

    /// Takes them over into a slot: what is left stays, what is new starts full. Writes only what changes, for what is
    /// written has to reach the disk.
    func adopt(_ meter: Meter, now: UInt64, calendar: QuotaCalendar) {
        let before = meter.bucketNames
        for cell in 0..<Meter.Cell.buckets {
            let (old, new) = (before >> UInt16(cell * 4) & 15, bucketNames >> UInt16(cell * 4) & 15)
            if old != new || new == 0 { meter.clear(Meter.Cell.bucket(cell).setting) }
        }
        if before != bucketNames { meter.bucketNames = bucketNames }
        var isCounted: UInt8 = 0
        for limit in limits {
            switch limit.kind {
            case .rate(let bucket):
                bucket.adopt(limit.cell, setting: limit.cell.setting, of: meter, at: now)
            case .quota(_, let period): isCounted |= 1 << UInt8(period.rawValue)
            case .concurrency: break
            }
        }
        for period in QuotaSettings.Period.allCases {
            let isNew = isCounted & 1 << UInt8(period.rawValue) == 0
            alignWindow(period, of: meter, calendar, isNew: isNew)
        }
        if let bandwidth = record.pointee.bandwidth {
            bandwidth.adopt(.bandwidth, setting: Meter.Cell.bandwidth.setting, of: meter, at: now)
        } else {
            meter.clear(Meter.Cell.bandwidth.setting)
        }
    }

    /// The time that is believed was set, or a loop may have gone by an older rule.
    func alignWindows(of meter: Meter, _ calendar: QuotaCalendar) {
        for limit in limits {
            if case .quota(_, let period) = limit.kind { alignWindow(period, of: meter, calendar, isNew: false) }
        }
    }

    private func alignWindow(_ period: QuotaSettings.Period, of meter: Meter, _ calendar: QuotaCalendar, isNew: Bool) {
        QuotaWindow.adopt(
            .window(period.rawValue), of: meter, at: calendar.hour,
            rule: calendar.window(period, resetDay: usage.quotaResetDay),
            former: calendar.formerName(of: period, resetDay: usage.quotaResetDay), isNew: isNew)
    }

    /// A bucket keeps its cell as long as there is a rate of its name, in whatever order they stand.
    private static func assignBuckets(
        _ rates: [RateSettings], _ before: UInt16
    ) -> (names: UInt16, assigned: [(RateSettings, Int, String)]) {
        var wanted: [(rate: RateSettings, code: UInt16, name: String)] = []
        var seen: [RateSettings.Period: UInt16] = [:]
        for rate in rates.prefix(Meter.Cell.buckets) {
            let place = seen[rate.period, default: 0]
            seen[rate.period] = place + 1
            let code: UInt16 = rate.period == .second ? 1 : rate.period == .minute ? 2 : 3
            wanted.append((rate, code + 4 * place, "rate-\(rate.period)" + (place == 0 ? "" : "-\(place + 1)")))
        }
        var names = (0..<Meter.Cell.buckets).map { before >> UInt16($0 * 4) & 15 }
        for cell in names.indices where !wanted.contains(where: { $0.code == names[cell] }) { names[cell] = 0 }
        var assigned: [(RateSettings, Int, String)] = []
        for one in wanted {
            let cell = names.firstIndex(of: one.code) ?? names.firstIndex(of: 0)!
            names[cell] = one.code
            assigned.append((one.rate, cell, one.name))
        }
        return (names.enumerated().reduce(0) { $0 | $1.element << UInt16($1.offset * 4) }, assigned)
    }

    /// `"rate-second";q=100;w=1`. Of a bucket: what may come at once and the time in which so much comes, or what comes
    /// in a period where that is more.
    private static func policy(_ limit: Limit) -> String {
        switch limit.kind {
        case .rate(let bucket):
            let second = 1_000_000_000 * MeterTime.ticksPerNanosecond
            let seconds = max(1, (bucket.span + second / 2) / second)
            let tokens = max(bucket.burst, (second << 16) / bucket.interval)
            return "q=\(tokens);w=\(seconds)"
        case .quota(let window, .month): return "q=\(window.limit);w="
        case .quota(let window, let period): return "q=\(window.limit);w=\(period == .hour ? 3600 : 86400)"
        case .concurrency(let most): return "q=\(most);qu=\"concurrent-requests\""
        }
    }
}
