import Base
import Metrics
import Net
import Tenancy

/// What one loop keeps of tenants, whatever the configuration. A table that only grows: who looks at a state counts nothing.
struct TenantStates {
    /// By the place of the tenant's meter, which it keeps over reloads: a new configuration moves nothing here.
    private var byPlace: [TenantState?] = []
    /// Whose meter's place is another's by now. They stay, as their counters do.
    private var former: [TenantState] = []

    /// The first request of a tenant since the configuration changed: the turn and the counters that it had before.
    mutating func adopt(_ tenant: Tenant, in view: WorkerView, metrics: () -> TenantMetrics) -> TenantState {
        let place = view.quotas[tenant.index].meter.index
        if place >= byPlace.count {
            let room = max(place + 1, 2 * byPlace.count)
            byPlace += repeatElement(nil, count: room - byPlace.count)
        }
        // A removed tenant's meter may be another's by now.
        if let state = byPlace[place], state.id == tenant.id {
            state.weight = Int64(tenant.weight)
            (state.looked, state.isRemoved) = (view.number, false)
            view.keep(state, of: tenant)
            return state
        }
        if let other = byPlace[place] { former.append(other) }
        let state = TenantState(id: tenant.id, weight: tenant.weight, metrics: metrics())
        state.looked = view.number
        byPlace[place] = state
        view.keep(state, of: tenant)
        return state
    }
}

/// What one loop keeps of a tenant, whatever the configuration: its turn and its counters. Made at the tenant's first
/// request and kept until the process ends.
final class TenantState: Flow {
    let id: String
    /// The registry keeps it until the process ends.
    let metrics: Uncounted<TenantMetrics>
    /// The last configuration that it was looked for in, as the worker counts them.
    var looked = 0
    /// That one has it no more.
    var isRemoved = false

    init(id: String, weight: Int, metrics: TenantMetrics) {
        self.id = id
        self.metrics = unsafe Uncounted(metrics)
        super.init(weight: weight)
    }
}
