import Base
import Synchronization

/// Requests under way at an upstream that `max_requests` bounds, of all loops together and without a lock.
///
/// The places are everybody's while there are some. The last few are for tenants that have less than their weight gives them
/// of all: a flood does not get them, for whose tenant is alone has nobody to have less than, and leaves them to whoever may
/// come. As its requests end they are not replaced until everybody has his part.
struct RequestPlaces: ~Copyable, Sendable {
    private let taken = SharedCount()
    /// Of the tenants that have any.
    private let weights = Atomic<Int>(0)

    /// How many are not for everybody. Of very few none can be spared.
    static func kept(of most: Int) -> Int { min(most / 4, 64) }

    /// Takes one for a tenant's request, where it may have one. `giveBack` is owed for it.
    /// - Parameter isShared: other tenants may come.
    func take(for part: TenantPart, weight: Int64, of most: Int, isShared: Bool) -> Bool {
        let free = isShared ? most - Self.kept(of: most) : most
        guard taken.take(upTo: free) || (free < most && hasLess(part, Int(weight), most) && taken.take(upTo: most)) else {
            return false
        }
        if let first = part.underWay.join(weight) { weights.add(Int(first), ordering: .relaxed) }
        return true
    }

    func giveBack(of part: TenantPart) {
        if let last = part.underWay.leave() { weights.subtract(Int(last), ordering: .relaxed) }
        taken.giveBack()
    }

    /// Than its part of all, beside others.
    private func hasLess(_ part: TenantPart, _ weight: Int, _ most: Int) -> Bool {
        let own = part.underWay.count
        let all = weights.load(ordering: .relaxed) + (own == 0 ? weight : 0)
        return all > weight && own * all < most * weight
    }
}
