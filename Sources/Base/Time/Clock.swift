#if canImport(Glibc)
    import Glibc
#endif

/// The only reader of the machine's clocks. Everything else is handed a time.
public enum Clock {
    /// Nanoseconds that only go forward; zero is some moment at boot.
    public static func monotonic() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds since 1970, UTC; a clock that is set to an earlier time stands at zero.
    public static func wall() -> UInt64 { read(CLOCK_REALTIME) }

    /// The present by both.
    public static func moment() -> Moment { Moment(monotonic: monotonic(), wall: wall()) }

    /// The same, of two readings that belong together: whoever had to wait between them reads again.
    public static func closeMoment() -> Moment {
        var best = moment()
        var gap = monotonic() &- best.monotonic
        for _ in 0..<8 where gap > 1_000_000 {
            let next = moment()
            let nextGap = monotonic() &- next.monotonic
            if nextGap < gap { (best, gap) = (next, nextGap) }
        }
        return best
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        unsafe clock_gettime(clock, &now)
        return UInt64(max(0, now.tv_sec)) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }
}

/// A moment in UTC, taken apart (proleptic Gregorian calendar).
public struct CivilTime: Sendable, Equatable {
    public var year, month, day, hour, minute, second: Int
    /// 0 is Sunday.
    public var weekday: Int

    /// Howard Hinnant's days-to-civil, on integers. In unsigned arithmetic, moved by whole eras of 400 years so that
    /// what came before 1970 is positive too: divisions by constants are cheaper there. Right for the years 0 to
    /// 200,000.
    public init(secondsSince1970 seconds: Int) {
        let erasAhead: UInt64 = 10
        let shifted = UInt64(bitPattern: Int64(seconds)) &+ erasAhead &* 146_097 &* 86400
        let rest = UInt32(truncatingIfNeeded: shifted % 86400)
        let days = UInt32(truncatingIfNeeded: shifted / 86400)
        hour = Int(rest / 3600)
        minute = Int(rest / 60 % 60)
        second = Int(rest % 60)
        // 146,097 days are 20,871 weeks, so the eras do not move the day of the week.
        weekday = Int((days &+ 4) % 7)
        let z = days &+ 719_468
        let era = z / 146_097
        let dayOfEra = z &- era &* 146_097
        let yearOfEra = (dayOfEra &- dayOfEra / 1460 &+ dayOfEra / 36524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let fromMarch = (5 &* dayOfYear &+ 2) / 153
        day = Int(dayOfYear &- (153 &* fromMarch &+ 2) / 5 &+ 1)
        month = Int(fromMarch < 10 ? fromMarch &+ 3 : fromMarch &- 9)
        year = Int(yearOfEra) + (Int(era) - Int(erasAhead)) * 400 + (month <= 2 ? 1 : 0)
    }
}

extension ByteWriter {
    /// `2026-11-23T12:00:00.123Z` (RFC 3339) of a wall time in nanoseconds.
    public mutating func append(rfc3339 wall: UInt64) {
        let t = CivilTime(secondsSince1970: Int(wall / 1_000_000_000))
        let milliseconds = Int(wall % 1_000_000_000 / 1_000_000)
        guard unsafe spare.count >= 24 else { overflowed = true; return }
        append("0000-00-00T00:00:00.000Z")
        // The 24 bytes that were just appended.
        let text = unsafe base + count - 24
        unsafe Self.put(t.year / 100, at: text)
        unsafe Self.put(t.year % 100, at: text + 2)
        unsafe Self.put(t.month, at: text + 5)
        unsafe Self.put(t.day, at: text + 8)
        unsafe Self.put(t.hour, at: text + 11)
        unsafe Self.put(t.minute, at: text + 14)
        unsafe Self.put(t.second, at: text + 17)
        unsafe Self.put(milliseconds / 10, at: text + 20)
        unsafe text.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: milliseconds % 10), toByteOffset: 22, as: UInt8.self)
    }

    /// Two decimal digits.
    @inline(__always)
    private static func put(_ value: Int, at place: UnsafeMutableRawPointer) {
        let value = UInt32(truncatingIfNeeded: value)
        let (tens, ones) = (value / 10 % 10, value % 10)
        unsafe place.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: tens), as: UInt8.self)
        unsafe place.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: ones), toByteOffset: 1, as: UInt8.self)
    }

    /// `Mon, 23 Nov 2026 12:00:00 GMT` (RFC 9110 section 5.6.7).
    public mutating func append(httpDate secondsSince1970: Int) {
        let t = CivilTime(secondsSince1970: secondsSince1970)
        let days: StaticString = "SunMonTueWedThuFriSat"
        let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
        // Three letters of each, at a weekday of 0...6 and a month of 1...12.
        unsafe append(days.utf8Start + 3 * t.weekday, 3); append(", ")
        append(padded: t.day, 2); append(byte: 0x20)
        unsafe append(months.utf8Start + 3 * (t.month - 1), 3); append(byte: 0x20)
        append(padded: t.year, 4); append(byte: 0x20)
        append(padded: t.hour, 2); append(byte: 0x3A)
        append(padded: t.minute, 2); append(byte: 0x3A)
        append(padded: t.second, 2); append(" GMT")
    }

    /// The last `width` decimal digits of a value that is not negative.
    mutating func append(padded value: Int, _ width: Int) {
        guard unsafe spare.count >= width else { overflowed = true; return }
        var rest = UInt32(truncatingIfNeeded: value)
        for place in (0..<width).reversed() {
            unsafe spare[place] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        produced(width)
    }
}
