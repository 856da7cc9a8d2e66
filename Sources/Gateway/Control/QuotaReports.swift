import Base
import Configuration
import Quotas
import Storage

/// How tenants stand, for the admin API and the metrics: read from the meter table when somebody asks.
struct QuotaReports: Sendable {
    private let book: QuotaBook
    private let places: [String: Int]

    init(_ tenants: [TenantSettings], _ book: QuotaBook) {
        self.book = book
        var places: [String: Int] = [:]
        places.reserveCapacity(tenants.count)
        for (place, tenant) in tenants.enumerated() { places[tenant.id] = place }
        self.places = places
    }

    /// The tenant's own limits; those of keys and routes are left out.
    func limits(of tenant: String) -> [LimitReport] {
        guard let place = places[tenant] else { return [] }
        let enforcer = QuotaEnforcer(table: book.table, wall: Clock.wall())
        return book.tenants[place].own.report(enforcer, monotonic: Clock.monotonic())
    }

    /// What the tenant's meter has counted since it was made.
    func counts(of tenant: String) -> [(name: String, value: UInt64)] {
        guard let place = places[tenant] else { return [] }
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
