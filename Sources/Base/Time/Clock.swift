#if canImport(Glibc)
    import Glibc
#endif

/// The only reader of the machine's clocks. Everything else is handed a time.
public enum Clock {
    /// Nanoseconds that only go forward; zero is some moment at boot.
    public static func monotonic() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds since 1970, UTC.
    public static func wall() -> UInt64 { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }
}

/// A moment in UTC, taken apart (proleptic Gregorian calendar).
public struct CivilTime: Sendable, Equatable {
    public var year, month, day, hour, minute, second: Int
    /// 0 is Sunday.
    public var weekday: Int

    /// Howard Hinnant's days-to-civil, on integers.
    public init(secondsSince1970 seconds: Int) {
        let days = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400
        let rest = seconds - days * 86400
        (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60)
        weekday = ((days + 4) % 7 + 7) % 7
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shifted + 2) / 5 + 1
        month = shifted < 10 ? shifted + 3 : shifted - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }
}

extension ByteWriter {
    /// `2026-11-23T12:00:00.123Z` (RFC 3339) of a wall time in nanoseconds.
    public mutating func append(rfc3339 wall: UInt64) {
        let t = CivilTime(secondsSince1970: Int(wall / 1_000_000_000))
        append(padded: t.year, 4); append(byte: 0x2D)
        append(padded: t.month, 2); append(byte: 0x2D)
        append(padded: t.day, 2); append(byte: 0x54)
        append(padded: t.hour, 2); append(byte: 0x3A)
        append(padded: t.minute, 2); append(byte: 0x3A)
        append(padded: t.second, 2); append(byte: 0x2E)
        append(padded: Int(wall / 1_000_000 % 1000), 3); append(byte: 0x5A)
    }

    /// `Mon, 23 Nov 2026 12:00:00 GMT` (RFC 9110 section 5.6.7).
    public mutating func append(httpDate secondsSince1970: Int) {
        let t = CivilTime(secondsSince1970: secondsSince1970)
        let days: StaticString = "SunMonTueWedThuFriSat"
        let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
        append(days.utf8Start + 3 * t.weekday, 3); append(", ")
        append(padded: t.day, 2); append(byte: 0x20)
        append(months.utf8Start + 3 * (t.month - 1), 3); append(byte: 0x20)
        append(padded: t.year, 4); append(byte: 0x20)
        append(padded: t.hour, 2); append(byte: 0x3A)
        append(padded: t.minute, 2); append(byte: 0x3A)
        append(padded: t.second, 2); append(" GMT")
    }

    mutating func append(padded value: Int, _ width: Int) {
        var divisor = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            append(byte: 0x30 + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }
}
