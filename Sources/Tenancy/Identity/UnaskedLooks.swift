/// How many credentials that nobody has asked for are looked at, of each address. They are the application's own, unless they
/// name somebody: then they must name the tenant that the request is for. Whoever shows a great many that name nobody has an
/// application with keys of its own, or tries out keys and makes others wait for signatures: his are not looked at any more
/// for a while. One a loop.
public struct UnaskedLooks {
    private struct Slot {
        var address: UInt64 = 0
        /// When all in vain so far will be forgotten: monotonic nanoseconds.
        var forgotten: UInt64 = 0
    }

    private static let burst: UInt64 = 100
    private static let interval: UInt64 = 100_000_000
    private static let size = 1024
    private var slots = [Slot](repeating: Slot(), count: size)

    public init() {}

    private func place(_ address: UInt64) -> Int {
        // The seed is the process's own: nobody can choose addresses that share a slot with somebody else's.
        var hasher = Hasher()
        hasher.combine(address)
        return Int(truncatingIfNeeded: hasher.finalize()) & (Self.size - 1)
    }

    private static func network(_ high: UInt64, _ low: UInt64) -> UInt64 { high == 0 && low >> 32 == 0xFFFF ? low : high }

    /// Whether what this address shows unasked is looked at.
    /// - Parameter now: monotonic nanoseconds.
    public func areLeft(high: UInt64, low: UInt64, now: UInt64) -> Bool {
        let address = Self.network(high, low)
        let slot = slots[place(address)]
        return slot.address != address || max(slot.forgotten, now) + Self.interval <= now + Self.burst * Self.interval
    }

    /// One more in vain.
    public mutating func spend(high: UInt64, low: UInt64, now: UInt64) {
        let address = Self.network(high, low)
        let place = place(address)
        // The one whose slot it is gives way once it is forgotten.
        if slots[place].address != address {
            if slots[place].forgotten > now { return }
            slots[place] = Slot(address: address, forgotten: 0)
        }
        slots[place].forgotten = min(max(slots[place].forgotten, now) + Self.interval, now + Self.burst * Self.interval)
    }
}
