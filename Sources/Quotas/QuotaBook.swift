import Base
import Configuration
import Storage

/// All that a tenant's requests are counted by, in one configuration.
public final class TenantLimits: Sendable {
    public let own: LimitSet
    /// Of what no route is about.
    public let terms: Terms
    /// In the order of `TenantSettings.routes`.
    public let routes: [Terms]
    /// In the order of `TenantSettings.keys`; nil for a key that has neither a name nor a limit.
    public let keys: [LimitSet?]

    init(_ settings: TenantSettings, table: MeterTable, _ maker: inout LimitMaker) throws(StorageFault) {
        let meter = try table.meter(tenant: settings.id)
        own = maker.limits(settings.usage, .tenant, meter)
        terms = maker.terms(settings.usage)
        var routes: [Terms] = []
        for route in settings.routes {
            var limits: LimitSet?
            if route.usage.hasLimits {
                let meter = try table.meter(.route, route.meterName, of: meter)
                limits = maker.limits(route.usage, .route, meter)
            }
            routes.append(limits.map { Terms(route.usage, limits: $0) } ?? maker.terms(route.usage))
        }
        self.routes = routes
        var keys: [LimitSet?] = []
        for key in settings.keys {
            guard key.name != nil || key.usage.hasLimits else {
                keys.append(nil)
                continue
            }
            // Keys of one name are one to whoever reads usage: a new key takes the old one's place.
            var usage = key.usage
            usage.quotaResetDay = settings.usage.quotaResetDay
            let slot = try table.meter(.key, key.name ?? key.digest.text, of: meter)
            keys.append(maker.limits(usage, .key, slot))
        }
        self.keys = keys
    }

    func forEachMeter(_ body: (Meter) -> Void) { forEachLimits { body($0.meter) } }

    func forEachLimits(_ body: (LimitSet) -> Void) {
        body(own)
        for route in routes { if let limits = route.limits { body(limits) } }
        for case let limits? in keys { body(limits) }
    }
}

/// What a tenant's requests are counted by, as the request path goes through it: a handle to a record of the book, good
/// as long as that lives.
public struct AdmissionRules: Sendable {
    /// 64 bytes, and so one line of the processor's cache.
    struct Record {
        var own: Level
        /// Of the first key: nearly always the one that is asked for.
        var firstKey: Level?
        var terms: UnsafePointer<Terms.Record>
        /// In the order of the settings' routes.
        var routes: UnsafePointer<UnsafePointer<Terms.Record>>
        /// In the order of the settings' keys.
        var keys: UnsafePointer<Level?>
        /// Fills the line.
        var unused: UInt = 0

        @inline(__always)
        func key(_ number: Int) -> Level? { number == 0 ? firstKey : keys[number] }
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    /// What counts all of its requests.
    @inline(__always)
    public var meter: Meter { record.pointee.own.meter }

    /// What a request asks for.
    /// - Parameters:
    ///   - key: number among the settings' keys; nil without one.
    ///   - route: number among the settings' routes; nil is what no route is about.
    @inline(__always)
    public func admission(key: Int?, route: Int?) -> Admission {
        Admission(
            tenant: record.pointee.own, key: key.flatMap { record.pointee.key($0) },
            terms: route.map { record.pointee.routes[$0] } ?? record.pointee.terms)
    }

    /// Asks for what admission and settlement will touch.
    @inline(__always)
    public func prefetch(key: Int?) {
        record.pointee.own.prefetch()
        if let key, let level = record.pointee.key(key) { level.prefetch() }
    }
}

/// The limits of all tenants of one configuration, in the order of its tenants.
public final class QuotaBook: Sendable {
    public let table: MeterTable
    public let tenants: [TenantLimits]
    private let count: Int
    private nonisolated(unsafe) let records: UnsafePointer<AdmissionRules.Record>
    private nonisolated(unsafe) let memory = RecordMemory()

    /// Finds or makes every slot and takes the limits over into them. For the control thread.
    public init(_ tenants: [TenantSettings], table: MeterTable) throws(StorageFault) {
        self.table = table
        var maker = LimitMaker(
            now: table.time.ticks(monotonic: Clock.monotonic()),
            calendar: QuotaCalendar(seconds: table.wall(monotonic: Clock.monotonic()) / 1_000_000_000))
        let all = try table.givingMany { () throws(StorageFault) in
            var all: [TenantLimits] = []
            all.reserveCapacity(tenants.count)
            for tenant in tenants { all.append(try TenantLimits(tenant, table: table, &maker)) }
            return all
        }
        (self.tenants, count) = (all, all.count)
        records = UnsafePointer(memory.keep(all.map { [memory] one in
            AdmissionRules.Record(
                own: one.own.level, firstKey: one.keys.first.flatMap { $0?.level }, terms: one.terms.record,
                routes: UnsafePointer(memory.keep(one.routes.map { $0.record })),
                keys: UnsafePointer(memory.keep(one.keys.map { $0?.level })))
        }))
    }

    /// Of the tenant with this index.
    @inline(__always)
    public subscript(index: Int) -> AdmissionRules {
        precondition(index >= 0 && index < count)
        return AdmissionRules(record: records + index)
    }

    /// Asks for the record of the tenant with this index.
    @inline(__always)
    public func prefetch(_ index: Int) { Base.prefetch(records + index, lines: 1) }

    /// Windows end when they should by the time of day that is believed now. Once the time has gone back, and once all
    /// loops go by this book: one that still went by an older rule may have begun a window by it.
    public func alignWindows() {
        let calendar = QuotaCalendar(seconds: table.wall(monotonic: Clock.monotonic()) / 1_000_000_000)
        for tenant in tenants { tenant.forEachLimits { $0.rules.alignWindows(of: $0.meter, calendar) } }
    }

    /// Lets go of the slots of what is no longer configured. Once no loop goes by an older book. False while another
    /// process has the table open: then later.
    @discardableResult
    public func retireOthers() -> Bool {
        table.retire { keep in for tenant in tenants { tenant.forEachMeter(keep) } }
    }
}

/// Makes the limits of one book. What many tenants have in common is made once.
struct LimitMaker {
    /// The table's time in ticks.
    let now: UInt64
    let calendar: QuotaCalendar
    private var rules: [LimitRules.Key: LimitRules] = [:]
    private var terms: [UsageSettings: Terms] = [:]

    init(now: UInt64, calendar: QuotaCalendar) { (self.now, self.calendar) = (now, calendar) }

    mutating func limits(_ usage: UsageSettings, _ kind: MeterKind, _ meter: Meter) -> LimitSet {
        let key = LimitRules.Key(usage: usage, kind: kind, bucketNames: meter.bucketNames)
        let shared = rules[key] ?? LimitRules(key)
        rules[key] = shared
        return LimitSet(shared, meter: meter, now: now, calendar: calendar)
    }

    /// Of what has no limits of its own.
    mutating func terms(_ usage: UsageSettings) -> Terms {
        let shared = terms[usage] ?? Terms(usage, limits: nil)
        terms[usage] = shared
        return shared
    }
}
