/// The time of day by two clocks, of which one can be set and the other can't: what periods begin and end by.
///
/// The kernel slews both clocks alike, so that what the wall clock says and what the monotonic clock leads to expect stay
/// the same, unless somebody sets the wall clock. Such a jump is doubted: time goes on by the monotonic clock, as if
/// nothing had happened, until the wall clock has come back, or has stood by what it says for `settling`.
public struct TrustedTime: Sendable, Equatable {
    /// Nanoseconds that the clocks may be apart: between the readings of the two a thread may have to wait.
    public static let tolerance: UInt64 = 200_000_000
    /// Nanoseconds for which a clock that has jumped must keep to it. Far longer than a daemon takes to mend its own
    /// mistake, and short against the hour, the shortest period that is counted by.
    public static let settling: UInt64 = 600_000_000_000
    /// What is within the tolerance is made up for by a nanosecond in so many: nobody notices.
    private static let slew: UInt64 = 1000

    /// What an observation has found out.
    public enum Event: Sendable, Equatable {
        /// The wall clock is off by so many nanoseconds, all of a sudden.
        case jumped(Int64)
        /// It is back where it was.
        case returned
        /// It has stood by what it says: time goes on from there, by so many nanoseconds later or earlier.
        case believed(Int64)
    }

    private struct Doubt: Sendable, Equatable {
        /// What the wall clock is ahead of the monotonic one.
        var offset: UInt64
        /// Monotonic.
        var since: UInt64
    }

    /// Nanoseconds to add to the monotonic clock, wrapping.
    public private(set) var offset: UInt64
    /// How often the wall clock has jumped.
    public private(set) var jumps: UInt64 = 0
    private var doubt: Doubt?
    /// Monotonic time of the last observation.
    private var last: UInt64

    /// The first time ever: there is nothing to doubt it by.
    public init(_ now: Moment) { (offset, last) = (now.wall &- now.monotonic, now.monotonic) }

    /// In the same boot as before: the monotonic clock has gone on meanwhile, whoever ran.
    /// - Parameter offset: as it was then.
    public init(_ now: Moment, goingOn offset: UInt64) { (self.offset, last) = (offset, now.monotonic) }

    /// After a boot, of which the wall clock alone tells how long it took: believed, unless it is behind what was known,
    /// and doubted until it has stood by it.
    /// - Parameter known: nanoseconds since 1970.
    public init(_ now: Moment, after known: UInt64) {
        self.init(now)
        doubt = Doubt(offset: offset, since: now.monotonic)
        if now.wall < known { offset = known &- now.monotonic }
    }

    /// Nothing may be brought to an end by it: no period closed, nothing added up or removed.
    public var isDoubtful: Bool { doubt != nil }

    /// Nanoseconds since 1970 at a monotonic time.
    public func time(at monotonic: UInt64) -> UInt64 { monotonic &+ offset }

    /// Compares the two clocks. To be called every second or so, and before something is brought to an end.
    public mutating func observe(_ now: Moment) -> Event? {
        let elapsed = now.monotonic > last ? now.monotonic - last : 0
        last = max(last, now.monotonic)
        let seen = now.wall &- now.monotonic
        let ahead = Int64(bitPattern: seen &- offset)
        if let doubt, Self.isNear(seen, doubt.offset) {
            guard now.monotonic &- doubt.since >= Self.settling else { return nil }
            self.doubt = nil
            offset = seen
            return .believed(ahead)
        }
        if ahead.magnitude <= Self.tolerance {
            let step = Int64(min(ahead.magnitude, elapsed / Self.slew))
            offset &+= UInt64(bitPattern: ahead < 0 ? -step : step)
            guard doubt != nil else { return nil }
            doubt = nil
            return .returned
        }
        doubt = Doubt(offset: seen, since: now.monotonic)
        jumps += 1
        return .jumped(ahead)
    }

    private static func isNear(_ one: UInt64, _ other: UInt64) -> Bool {
        Int64(bitPattern: one &- other).magnitude <= tolerance
    }
}
