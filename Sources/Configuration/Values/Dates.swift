import Base

enum Dates {
    /// A day, or RFC 3339 in UTC.
    static func date(_ text: String) throws(ValueFault) -> Value {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int? {
            guard range.upperBound <= bytes.count, bytes[range].allSatisfy(ASCII.isDigit) else { return nil }
            return bytes[range].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        func isAt(_ index: Int, _ character: Unicode.Scalar) -> Bool { bytes[index] == UInt8(ascii: character) }
        guard bytes.count == 10 || bytes.count == 20, let year = number(0..<4), isAt(4, "-"), let month = number(5..<7),
            isAt(7, "-"), let day = number(8..<10), (1...12).contains(month)
        else { throw .refused("\(quoted(text)) is not a date", suggestion: "write 2027-01-01 or 2027-01-01T12:00:00Z") }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
        var isValid = (1...days).contains(day)
        if bytes.count == 20 {
            isValid =
                isValid && isAt(10, "T") && isAt(13, ":") && isAt(16, ":") && isAt(19, "Z")
                && number(11..<13).map { $0 < 24 } ?? false && number(14..<16).map { $0 < 60 } ?? false
                && number(17..<19).map { $0 < 60 } ?? false
        }
        guard isValid else { throw .refused("there is no such date as \(quoted(text))") }
        return .text(text)
    }

    /// Seconds since 1970 of a text that `date` has accepted; a day is its beginning. At most `UInt32.max`.
    static func seconds(_ text: String) -> UInt32 {
        func number(_ range: Range<Int>) -> Int { Array(text.utf8)[range].reduce(0) { $0 * 10 + Int($1 - 0x30) } }
        let (month, day) = (number(5..<7), number(8..<10))
        // Howard Hinnant's civil-to-days, for years from 0 on.
        let year = number(0..<4) + (month <= 2 ? 399 : 400)
        let era = year / 400
        let yearOfEra = year % 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let days = (era - 1) * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        var seconds = days * 86400
        if text.utf8.count == 20 { seconds += number(11..<13) * 3600 + number(14..<16) * 60 + number(17..<19) }
        return UInt32(clamping: seconds)
    }
}
