import Configuration
import Proxy
import Quotas
import Storage

/// All that goes by a configuration, made ready on whichever thread has the time: with a hundred thousand tenants it
/// takes a good part of a second.
struct Prepared: Sendable {
    let settings: Settings
    let snapshot: Snapshot
    let reports: QuotaReports
    /// Ascending.
    let tenantIDs: [String]

    /// Finds or makes the tenants' meters and takes their limits over. One at a time.
    /// - Parameter settings: the candidate's, with what stays as it was.
    init(
        _ candidate: Candidate, _ settings: Settings, meters: MeterTable, servers: ServerRegistry
    ) throws(StorageFault) {
        self.settings = settings
        let quotas = try QuotaBook(settings.hot.tenants, table: meters)
        snapshot = Snapshot(
            settings.hot, quotas: quotas, servers: servers, tls: candidate.tls, upstreamTLS: candidate.upstreamTLS,
            issuers: candidate.issuers, authorities: candidate.authorities,
            serverAuthorities: candidate.serverAuthorities)
        reports = QuotaReports(snapshot)
        tenantIDs = settings.hot.tenants.map(\.id).sorted()
    }
}
