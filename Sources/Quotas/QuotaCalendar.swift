import Base
import Configuration

/// Which calendar hour, day and month it is, in UTC. Taken apart once an hour, not once a request.
public struct QuotaCalendar: Sendable, BitwiseCopyable {
    /// Seconds since 1970 of the hour that the rest is about.
    private var hourStart: UInt64 = .max
    /// The present hour and the end of the day, in hours since 1970.
    public private(set) var hour: UInt64 = 0
    private var dayEnd: UInt64 = 0
    /// Months since 1970.
    private var month: UInt64 = 0
    private var dayOfMonth = 1
    private var daysInMonth = 31
    private var daysInPrevious = 31
    /// The beginning of the calendar month, in hours since 1970.
    private var monthStart: UInt64 = 0
    private var daysInNext = 31

    public private(set) var seconds: UInt64 = 0

    public init(seconds: UInt64) { refresh(seconds: seconds) }

    /// Whether the hour has just begun: who adds up the last one may come a little late.
    @inline(__always)
    var isEarly: Bool { seconds &- hourStart < Self.early }
    /// Seconds.
    public static let early: UInt64 = 5

    /// - Parameter seconds: wall time since 1970.
    @inline(__always)
    public mutating func refresh(seconds: UInt64) {
        self.seconds = seconds
        if seconds &- hourStart >= 3600 || hourStart == .max { takeApart() }
    }

    private mutating func takeApart() {
        hour = seconds / 3600
        hourStart = hour * 3600
        dayEnd = (hour / 24 + 1) * 24
        let civil = CivilTime(secondsSince1970: Int(seconds))
        month = UInt64(max(0, civil.year - 1970) * 12 + civil.month - 1)
        dayOfMonth = civil.day
        daysInMonth = Self.days(of: civil.month, civil.year)
        daysInPrevious = civil.month == 1 ? 31 : Self.days(of: civil.month - 1, civil.year)
        daysInNext = civil.month == 12 ? 31 : Self.days(of: civil.month + 1, civil.year)
        monthStart = dayEnd - UInt64(civil.day) * 24
    }

    static func days(of month: Int, _ year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }

    /// When the present period ends and the next begins, in hours since 1970.
    /// - Parameter resetDay: of the month, on which a month begins.
    @inline(__always)
    public func end(of period: QuotaSettings.Period, resetDay: Int) -> UInt64 {
        switch period {
        case .hour: return hour &+ 1
        case .day: return dayEnd
        case .month:
            let here = min(resetDay, daysInMonth)
            let day = dayOfMonth < here ? here : daysInMonth &+ min(resetDay, daysInNext)
            return monthStart &+ UInt64(truncatingIfNeeded: day &- 1) &* 24
        }
    }

    /// The present period, in hours since 1970.
    func window(_ period: QuotaSettings.Period, resetDay: Int) -> Range<UInt64> {
        let end = end(of: period, resetDay: resetDay)
        return end - length(period, resetDay: resetDay) / 3600..<end
    }

    /// What versions before this one called the present day or month: its number. No end of a window is as small.
    func formerName(of period: QuotaSettings.Period, resetDay: Int) -> UInt64? {
        switch period {
        case .hour: nil
        case .day: hour / 24
        case .month: dayOfMonth < min(resetDay, daysInMonth) ? max(month, 1) - 1 : month
        }
    }

    /// Seconds until the next period begins.
    public func remaining(_ period: QuotaSettings.Period, resetDay: Int) -> UInt64 {
        end(of: period, resetDay: resetDay) * 3600 - seconds
    }

    /// Seconds until a window ends, which stands in its word; of one that is over, until the one ends that a request
    /// would begin.
    func remaining(_ word: UInt64, _ period: QuotaSettings.Period, resetDay: Int) -> UInt64 {
        let end = QuotaWindow.end(word)
        return end > hour ? end * 3600 - seconds : remaining(period, resetDay: resetDay)
    }

    /// Seconds of the present period.
    public func length(_ period: QuotaSettings.Period, resetDay: Int) -> UInt64 {
        switch period {
        case .hour: return 3600
        case .day: return 86400
        case .month:
            let here = min(resetDay, daysInMonth)
            if dayOfMonth < here { return UInt64(daysInPrevious - min(resetDay, daysInPrevious) + here) * 86400 }
            return UInt64(daysInMonth - here + min(resetDay, daysInNext)) * 86400
        }
    }
}
