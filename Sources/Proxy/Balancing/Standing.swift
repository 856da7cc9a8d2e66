/// What is known of an address from what became of connections to it: one that can't be connected to rests for a while. One
/// a loop, for as long as the name has the address; the time is monotonic nanoseconds and an argument.
struct Standing {
    /// How connecting fails.
    enum Failure {
        /// The address says no, or the network does.
        case refused
        /// Nothing came back in time.
        case silent
    }

    /// Not tried before this time, unless all others rest as well.
    private(set) var restsUntil: UInt64 = 0
    /// Failed connects in a row.
    private var failures = 0
    /// When it was last heard of; zero is never.
    private var heardAt: UInt64 = 0

    /// The rest after a first failure, doubled with each one in a row up to the maximum.
    static let rest: UInt64 = 500_000_000
    static let restMax: UInt64 = 30_000_000_000
    /// Whoever was heard of within this time is there, and only can't take more at the moment: its queue of connections is
    /// full, or a packet was lost. Twice the time that a connection may take by default.
    static let fresh: UInt64 = 10_000_000_000

    func rests(at now: UInt64) -> Bool { restsUntil > now }

    /// A connection to it stands.
    mutating func reached(at now: UInt64) { (failures, restsUntil, heardAt) = (0, 0, now) }

    /// An answer has come from it.
    @inline(__always)
    mutating func answered(at now: UInt64) { heardAt = now }

    /// A connection could not be made. Silence rests nobody who has just been heard of.
    mutating func failed(_ failure: Failure, at now: UInt64) {
        if failure == .silent, heardAt > 0, now &- heardAt < Self.fresh { return }
        // Those that were under way together are one failure.
        if rests(at: now) { return }
        failures += 1
        restsUntil = now + min(Self.rest << UInt64(min(failures - 1, 6)), Self.restMax)
    }
}
