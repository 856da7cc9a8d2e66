/// Counts refused credentials by the address they came from, in a table of fixed size. Whoever guesses is slowed down
/// after a few; who shares the address and holds good credentials never gets here. One a loop.
public struct GuessDamper: ~Copyable {
    private struct Slot {
        var address: UInt64 = 0
        /// When all failures so far will be forgotten, in nanoseconds: each adds a while to it.
        var forgotten: UInt64 = 0
    }

    /// Failures that nobody is held up for.
    static let burst: UInt64 = 10
    /// One is forgotten every so many nanoseconds.
    static let interval: UInt64 = 2_000_000_000
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
    public mutating func failed(high: UInt64, low: UInt64, now: UInt64) -> Bool {
        let isIPv4 = high == 0 && low >> 32 == 0xFFFF
        var hash = (isIPv4 ? low : high) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 32
        let address = (isIPv4 ? low : high) | 1 << 63
        let first = slots + (Int(truncatingIfNeeded: hash) & (Self.sets - 1)) * Self.ways
        var chosen = first
        for way in 0..<Self.ways {
            let slot = first + way
            if slot.pointee.address == address {
                chosen = slot
                break
            }
            // The one that is forgotten first gives way.
            if slot.pointee.forgotten < chosen.pointee.forgotten { chosen = slot }
        }
        if chosen.pointee.address != address { chosen.pointee = Slot(address: address, forgotten: 0) }
        let from = max(chosen.pointee.forgotten, now)
        let limit = now &+ Self.burst &* Self.interval
        if from &+ Self.interval > limit { return true }
        chosen.pointee.forgotten = from &+ Self.interval
        return false
    }
}
