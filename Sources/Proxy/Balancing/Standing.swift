/// What is known of a server from what became of attempts at it: one that can't be connected to rests for a while. One a
/// loop, for the time that the server is configured; the time is monotonic nanoseconds and an argument.
struct Standing {
    /// Not tried again before this time, unless every other server is down as well.
    private var restsUntil: UInt64 = 0
    /// Failed connects in a row.
    private var failures = 0

    /// The rest after a first failure, doubled with each one in a row up to the maximum.
    static let rest: UInt64 = 500_000_000
    static let restMax: UInt64 = 30_000_000_000

    func rests(at now: UInt64) -> Bool { restsUntil > now }

    /// A connection to it stands. No outcome of an attempt, which goes on: others need not wait for that.
    mutating func reached() {
        if failures > 0 { (failures, restsUntil) = (0, 0) }
    }

    /// An attempt at it has come to this.
    mutating func record(_ outcome: AttemptOutcome, at now: UInt64) {
        switch outcome {
        case .unreachable:
            failures += 1
            restsUntil = now + min(Self.rest << UInt64(min(failures - 1, 6)), Self.restMax)
        case .nameless, .answered, .timedOut, .cut, .malformed, .abandoned: break
        }
    }
}
