import Base

/// Wall times in nanoseconds since 1970, UTC, and what a calendar makes of them.
public enum Timestamp {
    public static let second: UInt64 = 1_000_000_000
    public static let hour: UInt64 = 3600 * second
    public static let day: UInt64 = 24 * hour

    /// The start of a day, or of a month's first; nil where there is no such date.
    public static func of(year: Int, month: Int, day: Int = 1) -> UInt64? {
        guard (1970...2500).contains(year), (1...12).contains(month), (1...days(year, month)).contains(day) else {
            return nil
        }
        // Howard Hinnant's days-from-civil.
        let y = month <= 2 ? year - 1 : year
        let era = y / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return UInt64(era * 146_097 + dayOfEra - 719_468) * Self.day
    }

    static func days(_ year: Int, _ month: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    public static func civil(_ time: UInt64) -> CivilTime { CivilTime(secondsSince1970: Int(time / second)) }

    /// `2026-11-23`
    public static func dayText(_ time: UInt64) -> String {
        let t = civil(time)
        return pad(t.year, 4) + "-" + pad(t.month, 2) + "-" + pad(t.day, 2)
    }

    /// `2026-11-23T12:00:00Z`, with milliseconds where there are some.
    public static func text(_ time: UInt64) -> String {
        let t = civil(time)
        let milliseconds = Int(time % second / 1_000_000)
        let fraction = milliseconds == 0 ? "" : "." + pad(milliseconds, 3)
        return dayText(time) + "T" + pad(t.hour, 2) + ":" + pad(t.minute, 2) + ":" + pad(t.second, 2) + fraction + "Z"
    }

    /// A day (`2026-11-23`), a month (`2026-11`), or RFC 3339 in UTC or with an offset; nil where it is none of them.
    public static func parse(_ text: String) -> UInt64? {
        var text = text
        return text.withUTF8 { parse(UnsafeRawBufferPointer($0)) }
    }

    static func parse(_ bytes: UnsafeRawBufferPointer) -> UInt64? {
        func number(_ from: Int, _ count: Int) -> Int? {
            guard from + count <= bytes.count else { return nil }
            var value = 0
            for place in from..<from + count {
                guard ASCII.isDigit(bytes[place]) else { return nil }
                value = value * 10 + Int(bytes[place] - 0x30)
            }
            return value
        }
        func isAt(_ place: Int, _ byte: UInt8) -> Bool { place < bytes.count && bytes[place] == byte }
        guard let year = number(0, 4), isAt(4, 0x2D), let month = number(5, 2) else { return nil }
        if bytes.count == 7 { return of(year: year, month: month) }
        guard isAt(7, 0x2D), let day = number(8, 2), let date = of(year: year, month: month, day: day) else {
            return nil
        }
        if bytes.count == 10 { return date }
        guard isAt(10, 0x54) || isAt(10, 0x74) || isAt(10, 0x20), let hour = number(11, 2), hour < 24, isAt(13, 0x3A),
            let minute = number(14, 2), minute < 60, isAt(16, 0x3A), let second = number(17, 2), second < 61
        else { return nil }
        var time = date + UInt64(hour * 3600 + minute * 60 + min(second, 59)) * Self.second
        var at = 19
        if isAt(at, 0x2E) {
            at += 1
            var unit: UInt64 = 100_000_000
            let start = at
            while at < bytes.count, ASCII.isDigit(bytes[at]) {
                time += UInt64(bytes[at] - 0x30) * unit
                unit /= 10
                at += 1
            }
            if at == start { return nil }
        }
        if isAt(at, 0x5A) || isAt(at, 0x7A) { return at + 1 == bytes.count ? time : nil }
        guard isAt(at, 0x2B) || isAt(at, 0x2D), bytes.count == at + 6, let hours = number(at + 1, 2), hours < 24,
            isAt(at + 3, 0x3A), let minutes = number(at + 4, 2), minutes < 60
        else { return nil }
        let offset = UInt64(hours * 3600 + minutes * 60) * Self.second
        if bytes[at] == 0x2D { return time + offset }
        return time >= offset ? time - offset : nil
    }

    static func pad(_ value: Int, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}
