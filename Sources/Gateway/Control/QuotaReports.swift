import Base
import Proxy
import Quotas
import Storage
import Tenancy

/// How tenants stand, for the admin API and the metrics: read from the meter table when somebody asks.
struct QuotaReports: Sendable {
    private let book: QuotaBook
    private let directory: Directory

    init(_ snapshot: Snapshot) { (book, directory) = (snapshot.quotas, snapshot.directory) }

    /// The tenant's own limits; those of keys and routes are left out.
    func limits(of tenant: String) -> [LimitReport] {
        guard let place = directory.tenant(id: tenant)?.index else { return [] }
        let enforcer = QuotaEnforcer(table: book.table, wall: book.table.wall(monotonic: Clock.monotonic()))
        return book.tenants[place].own.report(enforcer, monotonic: Clock.monotonic())
    }

    /// What the tenant's meter has counted since it was made.
    func counts(of tenant: String) -> [(name: String, value: UInt64)] {
        guard let place = directory.tenant(id: tenant)?.index else { return [] }
        let meter = book.tenants[place].own.meter
        let refused: [(String, Meter.Cell)] = [
            ("refused_rate", .refusedByRate), ("refused_quota", .refusedByQuota),
            ("refused_concurrency", .refusedByConcurrency), ("refused_other", .refusedOtherwise),
            ("shadow_refused", .shadowRefused),
        ]
        // Settled before admitted: read in this order, more is never settled than was admitted.
        let settled = meter.settled
        return [("in_flight", meter.inFlight), ("settled", settled), ("admitted", meter.value(.admitted))]
            + refused.map { ($0.0, meter.value($0.1)) }
            + [
                ("request_bytes", meter.value(.requestBytes)), ("response_bytes", meter.value(.responseBytes)),
                ("cost", meter.value(.cost)),
            ]
    }
}
