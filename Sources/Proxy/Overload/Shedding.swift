/// How many requests one loop takes while the process is overloaded, and whose it refuses: nobody's who has less than the share
/// that his tenant's weight gives it among those that have requests under way.
///
/// The bound is looked for: it sinks while the overload lasts, and grows once it is over, until it bounds nothing.
struct Shedding {
    /// Requests under way. Beyond it those are refused that are above their share.
    private(set) var bound = Int.max
    private var underWay = 0
    /// Of tenants that have requests under way.
    private var weights: Int64 = 0
    /// The most requests that were under way since the last look.
    private var most = 0

    /// However bad it is, so many are served.
    static let boundMin = 16

    @inline(__always)
    var isOn: Bool { bound != .max }

    /// A request of the tenant is let in.
    @inline(__always)
    mutating func began(_ tenant: TenantState) {
        underWay += 1
        if tenant.underWay == 0 {
            tenant.countedWeight = tenant.weight
            weights += tenant.weight
        }
        tenant.underWay += 1
    }

    /// One that was let in is over.
    @inline(__always)
    mutating func ended(_ tenant: TenantState) {
        underWay -= 1
        tenant.underWay -= 1
        if tenant.underWay == 0 { weights -= tenant.countedWeight }
    }

    /// Whether the tenant's next request is refused.
    func refuses(_ tenant: TenantState) -> Bool {
        guard isOn, underWay >= bound else { return false }
        let own = tenant.underWay == 0 ? tenant.weight : tenant.countedWeight
        let all = tenant.underWay == 0 ? weights + own : weights
        // underWay / bound >= weight / all weights, without a division
        return Int64(tenant.underWay) * all >= Int64(bound) * own
    }

    /// Looks again, ten times a second.
    mutating func look(isShort: Bool) {
        most = max(underWay, most * 7 / 8)
        if isShort {
            bound = max(Self.boundMin, min(bound, underWay) * 7 / 8)
        } else if isOn {
            bound += bound / 16 + 1
            if bound > 2 * most { bound = .max }
        }
    }
}
