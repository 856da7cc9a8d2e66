/// How many credentials that nobody has asked for are looked at, of each address. They are the application's own, unless they
/// name somebody: then they must name the tenant that the request is for. Whoever shows a great many that name nobody has an
/// application with keys of its own, or tries out keys and makes others wait for signatures: his are not looked at any more
/// for a while. One a loop.
public struct UnaskedLooks {
    private struct Slot {
        var client: UInt64 = 0
        /// When all in vain so far will be forgotten: monotonic nanoseconds.
        var forgotten: UInt64 = 0
    }

    private static let burst: UInt64 = 100
    private static let interval: UInt64 = 100_000_000
    private static let size = 1024
    private var slots = [Slot](repeating: Slot(), count: size)

    public init() {}

    private func place(_ client: UInt64) -> Int {
        // The seed is the process's own: nobody can choose addresses that share a slot with somebody else's.
        var hasher = Hasher()
        hasher.combine(client)
        return Int(truncatingIfNeeded: hasher.finalize()) & (Self.size - 1)
    }

    /// Whether what this client shows unasked is looked at.
    /// - Parameters:
    ///   - client: what tells it from others, by its address.
    ///   - now: monotonic nanoseconds.
    public func areLeft(client: UInt64, now: UInt64) -> Bool {
        let slot = slots[place(client)]
        return slot.client != client || max(slot.forgotten, now) + Self.interval <= now + Self.burst * Self.interval
    }

    /// One more in vain.
    public mutating func spend(client: UInt64, now: UInt64) {
        let place = place(client)
        // The one whose slot it is gives way once it is forgotten.
        if slots[place].client != client {
            if slots[place].forgotten > now { return }
            slots[place] = Slot(client: client, forgotten: 0)
        }
        slots[place].forgotten = min(max(slots[place].forgotten, now) + Self.interval, now + Self.burst * Self.interval)
    }
}
