import Configuration
import Quotas
import Storage
import TestSupport

/// A meter table in a folder of its own.
func freshTable() throws -> MeterTable { try MeterTable(path: freshPath()) }

/// A clock that moves when it is told to: monotonic and wall time go together.
struct ManualClock {
    /// Nanoseconds since a start long enough ago for subtractions.
    var monotonic: UInt64 = 1_000_000_000_000
    /// 2026-11-23T12:00:00Z.
    var wall: UInt64 = 1_795_435_200_000_000_000

    mutating func advance(_ nanoseconds: UInt64) {
        monotonic += nanoseconds
        wall += nanoseconds
    }

    var calendar: QuotaCalendar { QuotaCalendar(seconds: wall / 1_000_000_000) }
}

/// One tenant with its table, for tests of a single level or more.
struct Bench {
    let table: MeterTable
    var clock = ManualClock()
    var enforcer: QuotaEnforcer
    var limits: LimitSet
    var terms: Terms

    init(_ usage: UsageSettings, route: UsageSettings? = nil, table: MeterTable? = nil) throws {
        let table = try table ?? freshTable()
        self.table = table
        let now = table.time.ticks(monotonic: clock.monotonic)
        let meter = try table.meter(tenant: "acme")
        limits = LimitSet(usage, kind: .tenant, meter: meter, now: now, calendar: clock.calendar)
        var own: LimitSet?
        if let route {
            own = LimitSet(
                route, kind: .route, meter: try table.meter(.route, "/r", of: meter), now: now, calendar: clock.calendar)
        }
        terms = Terms(route ?? usage, limits: own)
        enforcer = QuotaEnforcer(table: table, wall: clock.wall)
    }

    /// A reload.
    mutating func change(_ usage: UsageSettings) {
        limits = LimitSet(
            usage, kind: .tenant, meter: limits.meter, now: table.time.ticks(monotonic: clock.monotonic), calendar: clock.calendar)
        terms = Terms(usage, limits: terms.limits)
    }

    mutating func ask() -> (Verdict, Admission) {
        var admission = Admission(tenant: limits, key: nil, terms: terms)
        let verdict = enforcer.reserve(&admission, monotonic: clock.monotonic, wall: clock.wall)
        return (verdict, admission)
    }

    /// Asks so many times and counts who gets in. What got in stays in flight.
    mutating func admitted(of count: Int) -> Int { (0..<count).reduce(0) { sum, _ in sum + (ask().0.isAdmitted ? 1 : 0) } }

    mutating func settle(_ admission: Admission, _ outcome: Outcome = Outcome(status: 200, wasForwarded: true, isOwnAnswer: false)) {
        var admission = admission
        enforcer.settle(&admission, outcome, monotonic: clock.monotonic)
    }
}

extension UsageSettings {
    init(
        rates: [RateSettings] = [], quotas: [QuotaSettings] = [], concurrency: UInt64? = nil, cost: UInt64 = 1,
        charge: ChargeRule = .forwarded, bandwidth: BandwidthSettings? = nil, resetDay: Int = 1
    ) {
        self.init()
        (self.rates, self.quotas, self.cost, self.charge, self.bandwidth) = (rates, quotas, cost, charge, bandwidth)
        self.concurrency = concurrency.map { ConcurrencySettings(count: $0) }
        quotaResetDay = resetDay
    }
}
