/// The time of day by two clocks, of which one can be set and the other can't: what periods begin and end by.
///
/// The kernel slews both clocks alike, so that what the wall clock says and what the monotonic clock leads to expect stay
/// the same, unless somebody sets the wall clock. Such a jump is doubted: time goes on by the monotonic clock, as if
/// nothing had happened, until the wall clock has come back, or has stood by what it says for `settling`.
///
/// At a boot there is nothing before: the monotonic clock begins anew, and the wall clock alone tells how long the machine
/// was off. Until it has stood by that, what is written for good waits (`isStarting`); what can't wait goes by it where it
/// is plausible, and else by the last time that is known.
public struct TrustedTime: Sendable, Equatable {
    /// Nanoseconds that the clocks may be apart: between the readings of the two a thread may have to wait.
    public static let tolerance: UInt64 = 200_000_000
    /// Nanoseconds for which a clock that has jumped must keep to it. Far longer than a daemon takes to mend its own
    /// mistake, and short against the hour, the shortest period that is counted by.
    public static let settling: UInt64 = 600_000_000_000
    /// Nanoseconds that a machine may have been off for its clock to be plausible at a boot: a night, a day.
    public static let absence: UInt64 = 24 * 3_600_000_000_000
    /// Nanoseconds after which nobody waits any more for a clock that finds no rest after a boot.
    static let patience: UInt64 = 3_600_000_000_000
    /// 2026-01-01, in nanoseconds since 1970: no clock was there earlier that has ever been set.
    public static let least: UInt64 = 1_767_225_600_000_000_000
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
        /// After a boot there is no clock that could be believed: time goes on by what was known before it.
        case unset
    }

    private struct Doubt: Sendable, Equatable {
        /// What the wall clock is ahead of the monotonic one.
        var offset: UInt64
        /// Monotonic.
        var since: UInt64
    }

    /// A boot in which nothing is believed yet.
    private struct Start: Sendable, Equatable {
        /// What the last time that was known before it is ahead of the monotonic clock, as if it had gone on since.
        var offset: UInt64
        /// Monotonic.
        var since: UInt64
    }

    /// Nanoseconds to add to the monotonic clock, wrapping.
    public private(set) var offset: UInt64
    /// How often the wall clock has jumped.
    public private(set) var jumps: UInt64 = 0
    private var doubt: Doubt?
    private var start: Start?
    /// Monotonic time of the last observation.
    private var last: UInt64

    /// The first time ever: there is nothing to doubt it by, but that it was never set.
    public init(_ now: Moment) {
        if now.wall < Self.least { self.init(now, after: Self.least) } else { self.init(now, goingOn: now.wall &- now.monotonic) }
    }

    /// In the same boot as before: the monotonic clock has gone on meanwhile, whoever ran.
    /// - Parameter offset: as it was then.
    public init(_ now: Moment, goingOn offset: UInt64) { (self.offset, last) = (offset, now.monotonic) }

    /// After a boot, of which the wall clock alone tells how long it took: doubted until it has stood by it.
    /// - Parameter known: nanoseconds since 1970.
    public init(_ now: Moment, after known: UInt64) {
        let seen = now.wall &- now.monotonic
        let start = Start(offset: max(known, Self.least) &- now.monotonic, since: now.monotonic)
        self.init(now, goingOn: Self.plausible(seen, start))
        (self.start, doubt) = (start, Doubt(offset: seen, since: now.monotonic))
    }

    /// Where nothing is believed yet: the wall clock, as long as the machine may have been off for so long.
    private static func plausible(_ seen: UInt64, _ start: Start) -> UInt64 {
        let absence = Int64(bitPattern: seen &- start.offset)
        return absence >= 0 && absence <= Int64(Self.absence) ? seen : start.offset
    }

    /// All that a process of the same boot needs to go on. Zeros are none.
    public struct State: Sendable, Equatable {
        public var offset: UInt64 = 0
        /// Of what is doubted, and since when by the monotonic clock.
        public var doubtOffset: UInt64 = 0
        public var doubtSince: UInt64 = 0
        /// Of what was known before the boot, where nothing is believed yet.
        public var startOffset: UInt64 = 0
        public var startSince: UInt64 = 0
        public init() {}
    }

    public var state: State {
        var state = State()
        state.offset = offset
        if let doubt { (state.doubtOffset, state.doubtSince) = (doubt.offset, doubt.since) }
        if let start { (state.startOffset, state.startSince) = (start.offset, start.since) }
        return state
    }

    public init(_ now: Moment, goingOn state: State) {
        self.init(now, goingOn: state.offset)
        if state.doubtSince > 0 { doubt = Doubt(offset: state.doubtOffset, since: state.doubtSince) }
        if state.startSince > 0 { start = Start(offset: state.startOffset, since: state.startSince) }
    }

    /// Nothing may be brought to an end by it: no period closed, nothing added up or removed.
    public var isDoubtful: Bool { doubt != nil }
    /// Since the boot nothing is believed: what is written for good waits.
    public var isStarting: Bool { start != nil }

    /// What to add to the monotonic clock for the last time that was believed, gone on since: behind it nobody goes back,
    /// and nothing is over that is not over by it.
    public var knownOffset: UInt64 { start?.offset ?? offset }
    public func known(at monotonic: UInt64) -> UInt64 { monotonic &+ knownOffset }
    /// The same for what is going to be believed at a boot, unless something else happens.
    public var expectedOffset: UInt64 { start == nil ? offset : doubt?.offset ?? offset }

    /// Nanoseconds since 1970 at a monotonic time.
    public func time(at monotonic: UInt64) -> UInt64 { monotonic &+ offset }

    /// Compares the two clocks. To be called every second or so, and before something is brought to an end.
    public mutating func observe(_ now: Moment) -> Event? {
        let elapsed = now.monotonic > last ? now.monotonic - last : 0
        last = max(last, now.monotonic)
        let seen = now.wall &- now.monotonic
        let ahead = Int64(bitPattern: seen &- offset)
        if let doubt, Self.isNear(seen, doubt.offset) {
            guard now.monotonic &- doubt.since >= Self.settling else { return giveUp(now) }
            guard now.wall >= Self.least else { return giveUp(now, isHopeless: true) }
            (self.doubt, start) = (nil, nil)
            offset = seen
            return .believed(ahead)
        }
        if let start {
            if giveUp(now) != nil { return .unset }
            doubt = Doubt(offset: seen, since: now.monotonic)
            jumps += 1
            offset = Self.plausible(seen, start)
            return .jumped(ahead)
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

    /// After a boot it has taken too long, or there is nothing to wait for: what was known is what there is.
    private mutating func giveUp(_ now: Moment, isHopeless: Bool = false) -> Event? {
        guard let start, isHopeless || now.monotonic &- start.since >= Self.patience else { return nil }
        (offset, self.start) = (start.offset, nil)
        return .unset
    }

    /// Whether one time goes on by both offsets, but for what is made up for a little at a time.
    public static func isNear(_ one: UInt64, _ other: UInt64) -> Bool {
        Int64(bitPattern: one &- other).magnitude <= tolerance
    }
}
