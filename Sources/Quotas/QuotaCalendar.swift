import Base
import Configuration

/// Which calendar hour, day and month it is, in UTC. Taken apart once an hour, not once a request.
public struct QuotaCalendar: Sendable, BitwiseCopyable {
    /// Seconds since 1970 of the hour that the rest is about.
    private var hourStart: UInt64 = .max
    private var month: UInt64 = 0
    private var dayOfMonth = 1
    private var daysInMonth = 31
    private var daysInPrevious = 31
    private var midnightOfMonth: UInt64 = 0
    private var daysInNext = 31

    public private(set) var seconds: UInt64 = 0

    public init(seconds: UInt64) { refresh(seconds: seconds) }

    /// - Parameter seconds: wall time since 1970.
    @inline(__always)
    public mutating func refresh(seconds: UInt64) {
        self.seconds = seconds
        if seconds &- hourStart >= 3600 || hourStart == .max { takeApart() }
    }

    private mutating func takeApart() {
        hourStart = seconds / 3600 * 3600
        let civil = CivilTime(secondsSince1970: Int(seconds))
        month = UInt64(max(0, civil.year - 1970) * 12 + civil.month - 1)
        dayOfMonth = civil.day
        daysInMonth = Self.days(of: civil.month, civil.year)
        daysInPrevious = civil.month == 1 ? 31 : Self.days(of: civil.month - 1, civil.year)
        daysInNext = civil.month == 12 ? 31 : Self.days(of: civil.month + 1, civil.year)
        midnightOfMonth = seconds / 86400 * 86400 - UInt64(civil.day - 1) * 86400
    }

    static func days(of month: Int, _ year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }

    /// The number of the present period, which grows by one from each to the next.
    /// - Parameter resetDay: of the month, on which a month begins.
    @inline(__always)
    public func period(_ period: QuotaSettings.Period, resetDay: Int) -> UInt64 {
        switch period {
        case .hour: hourStart / 3600
        case .day: hourStart / 86400
        // Before the first of them, in January 1970, there is no earlier one to count by.
        case .month: dayOfMonth < min(resetDay, daysInMonth) ? max(month, 1) - 1 : month
        }
    }

    /// Seconds until the next period begins.
    public func remaining(_ period: QuotaSettings.Period, resetDay: Int) -> UInt64 {
        switch period {
        case .hour: return 3600 - seconds % 3600
        case .day: return 86400 - seconds % 86400
        case .month:
            let here = min(resetDay, daysInMonth)
            let day = dayOfMonth < here ? here : daysInMonth + min(resetDay, daysInNext)
            return midnightOfMonth + UInt64(day - 1) * 86400 - seconds
        }
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
