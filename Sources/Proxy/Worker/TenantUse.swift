import Base
import Synchronization

/// What one tenant holds of the gateway itself, over all loops together.
final class TenantUse: Sendable {
    /// Connections of clients whose requests were its, the last time that one came.
    let connections = SharedCount()
    /// Requests under way on connections of HTTP/2.
    let streams = SharedCount()
}

/// Those of all tenants that have ever had a bound. They stay, as a tenant's other counters do.
final class TenantUses: Sendable {
    private let uses = Mutex<[String: TenantUse]>([:])

    /// Asked by a loop at a tenant's first request under a configuration.
    func use(of tenant: String) -> TenantUse {
        uses.withLock { all in
            let use = all[tenant] ?? TenantUse()
            all[tenant] = use
            return use
        }
    }
}
