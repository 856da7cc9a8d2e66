/// Counts refused credentials by the address that they came from and the tenant that they were for, in a table of fixed
/// size. Whoever guesses is slowed down after a few; others behind his address are not, while he has not tried a great many
/// tenants; and who holds good credentials never gets here. One a loop.
public struct GuessDamper: ~Copyable {
    private struct Slot {
        var subject: UInt64 = 0
        /// When all failures so far will be forgotten, in nanoseconds: each adds a while to it.
        var forgotten: UInt64 = 0
    }

    /// How many failures nobody is held up for, and that one is forgotten every so many nanoseconds.
    struct Bound {
        var burst: UInt64
        var interval: UInt64

        static let perTenant = Bound(burst: 10, interval: 2_000_000_000)
        /// Of an address at all tenants: an office or a network behind one address has many users who mistype.
        static let overall = Bound(burst: 1000, interval: 20_000_000)
    }

    /// How long the answer to one too many is held back, in nanoseconds.
    public static let delay: UInt64 = 1_000_000_000
    private static let sets = 2048
    private static let ways = 2
    private let slots: UnsafeMutablePointer<Slot>

    public init() {
        slots = .allocate(capacity: Self.sets * Self.ways)
        slots.initialize(repeating: Slot(), count: Self.sets * Self.ways)
    }

    deinit { slots.deallocate() }

    /// Notes a failure at `now`, monotonic nanoseconds. True when there were too many. IPv6 counts by network: a client
    /// has 2^64 addresses there.
    /// - Parameter tenant: what tells tenants apart; the same for all whose tenant is not known.
    public mutating func failed(high: UInt64, low: UInt64, tenant: UInt, now: UInt64) -> Bool {
        let isIPv4 = high == 0 && low >> 32 == 0xFFFF
        let address = isIPv4 ? low : high
        // Both count, whatever the other says.
        let isTooManyHere = count(address, tenant, .perTenant, now)
        let isTooMany = count(address, nil, .overall, now)
        return isTooManyHere || isTooMany
    }

    private mutating func count(_ address: UInt64, _ tenant: UInt?, _ bound: Bound, _ now: UInt64) -> Bool {
        // The seed is the process's own: nobody can choose addresses that share a slot with somebody else's.
        var hasher = Hasher()
        hasher.combine(address)
        hasher.combine(tenant)
        let subject = UInt64(truncatingIfNeeded: hasher.finalize()) | 1 << 63
        let first = slots + (Int(truncatingIfNeeded: subject) & (Self.sets - 1)) * Self.ways
        var chosen = first
        for way in 0..<Self.ways {
            let slot = first + way
            if slot.pointee.subject == subject {
                chosen = slot
                break
            }
            // The one that is forgotten first gives way.
            if slot.pointee.forgotten < chosen.pointee.forgotten { chosen = slot }
        }
        if chosen.pointee.subject != subject { chosen.pointee = Slot(subject: subject, forgotten: 0) }
        let from = max(chosen.pointee.forgotten, now)
        let limit = now &+ bound.burst &* bound.interval
        if from &+ bound.interval > limit { return true }
        chosen.pointee.forgotten = from &+ bound.interval
        return false
    }
}
