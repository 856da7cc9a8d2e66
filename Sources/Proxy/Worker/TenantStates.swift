import Base
import Configuration
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
    mutating func adopt(
        _ tenant: Tenant, in view: WorkerView, uses: TenantUses, metrics: () -> TenantMetrics
    ) -> TenantState {
        let place = view.quotas[tenant.index].meter.index
        if place >= byPlace.count {
            let room = max(place + 1, 2 * byPlace.count)
            byPlace += repeatElement(nil, count: room - byPlace.count)
        }
        // A removed tenant's meter may be another's by now.
        if let state = byPlace[place], state.id == tenant.id {
            state.weight = Int64(tenant.weight)
            (state.looked, state.isRemoved) = (view.number, false)
            state.adopt(tenant, view.snapshot, uses)
            view.keep(state, of: tenant)
            return state
        }
        if let other = byPlace[place] { former.append(other) }
        let state = TenantState(id: tenant.id, weight: tenant.weight, metrics: metrics())
        state.looked = view.number
        state.adopt(tenant, view.snapshot, uses)
        byPlace[place] = state
        view.keep(state, of: tenant)
        return state
    }

    /// Another configuration holds.
    /// - Parameter isOver: nothing comes to this loop any more.
    func adoptDesks(_ directory: Directory, isOver: Bool) {
        for case let state? in byPlace { state.adoptDesk { isOver || directory.tenant(id: state.id) == nil } }
        for state in former { state.adoptDesk { true } }
    }
}

/// What one loop keeps of a tenant, whatever the configuration: its turn and its counters. Made at the tenant's first
/// request and kept until the process ends.
final class TenantState: Flow {
    let id: String
    /// The same in every loop, after every reload; of hardly any two tenants, and never zero.
    let tag: UInt32
    /// The registry keeps it until the process ends.
    let metrics: Uncounted<TenantMetrics>
    /// The last configuration that it was looked for in, as the worker counts them.
    var looked = 0
    /// That one has it no more.
    var isRemoved = false
    private(set) var bounds = TenantBounds()
    /// What it has of them, once it had any.
    private(set) var use: TenantUse?
    /// It may have a number of connections or streams, or some tenant may whose connection comes to it.
    private(set) var isBounded = false
    /// Requests that were let in and are not over, and the weight that it had when the first of them came.
    var underWay = 0
    var countedWeight: Int64 = 0
    /// Where its decisions are kept, once one was asked for.
    private var desk: DecisionDesk?

    init(id: String, weight: Int, metrics: TenantMetrics) {
        self.id = id
        tag = Self.tag(of: id)
        self.metrics = unsafe Uncounted(metrics)
        super.init(weight: weight)
    }

    func desk(at worker: Worker) -> DecisionDesk {
        if let desk { return desk }
        // The worker keeps this as long as the process lives.
        let made = unsafe DecisionDesk(worker, Uncounted(self))
        desk = made
        return made
    }

    func adoptDesk(isOver: () -> Bool) {
        if let desk { desk.adopt(isOver: isOver()) }
    }

    /// Tenants are put into classes by any of its bits: none of them is always the same.
    static func tag(of id: String) -> UInt32 { max(UInt32(StableHash.of(id) >> 32), 1) }

    /// Goes by other bounds. What it has it keeps.
    func adopt(_ tenant: Tenant, _ snapshot: Snapshot, _ uses: TenantUses) {
        bounds = snapshot.bounds(ofTenant: tenant.index)
        isBounded = snapshot.hasBounds
        if use == nil, bounds.connections != nil || bounds.streams != nil { use = uses.use(of: id) }
    }
}
