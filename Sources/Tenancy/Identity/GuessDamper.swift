import Synchronization

/// Counts refused credentials by the address that they came from and the tenant that they were for, in a table of fixed
/// size. Whoever guesses is slowed down after a few; others behind his address are not, while he has not tried a great many
/// tenants; and who holds good credentials never gets here.
public struct GuessDamper: ~Copyable, @unchecked Sendable {
    /// Of all loops: they would each let as many pass. Only failures come here, so that nobody else waits for the lock.
    public static let shared = Mutex(GuessDamper())

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
        /// Where nothing tells the tenant, on a shared host: it stands for all of them.
        static let unknownTenant = Bound(burst: 100, interval: 200_000_000)
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

    /// Notes a failure at `now`, monotonic nanoseconds. True when there were too many.
    /// - Parameters:
    ///   - client: what tells it from others, by its address.
    ///   - tenant: its id; nil where it is not known.
    public mutating func failed(client: UInt64, tenant: String?, now: UInt64) -> Bool {
        // Both count, whatever the other says.
        let isTooManyHere = count(.place(client, tenant), tenant == nil ? .unknownTenant : .perTenant, now)
        let isTooMany = count(.anywhere(client), .overall, now)
        return isTooManyHere || isTooMany
    }

    /// What failures are counted by.
    private enum Subject: Hashable {
        case place(UInt64, String?)
        case anywhere(UInt64)
    }

    private mutating func count(_ what: Subject, _ bound: Bound, _ now: UInt64) -> Bool {
        // The seed is the process's own: nobody can choose addresses that share a slot with somebody else's.
        var hasher = Hasher()
        hasher.combine(what)
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
