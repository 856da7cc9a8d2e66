import Base

/// What usage is added up by: a calendar hour, day or month, in UTC.
public enum Period: String, Sendable, CaseIterable, Comparable {
    /// From the finest to the coarsest.
    case hour, day, month

    public static func < (one: Period, other: Period) -> Bool { one.rank < other.rank }

    private var rank: Int {
        switch self {
        case .hour: 0
        case .day: 1
        case .month: 2
        }
    }

    /// The one that a moment is in.
    public func bounds(of time: UInt64) -> Range<UInt64> {
        switch self {
        case .hour:
            let start = time - time % Timestamp.hour
            return start..<start + Timestamp.hour
        case .day:
            let start = time - time % Timestamp.day
            return start..<start + Timestamp.day
        case .month:
            let t = Timestamp.civil(time)
            let start = Timestamp.of(year: t.year, month: t.month) ?? 0
            let next =
                t.month == 12
                ? Timestamp.of(year: t.year + 1, month: 1) : Timestamp.of(year: t.year, month: t.month + 1)
            return start..<max(next ?? .max, start + 1)
        }
    }
}
