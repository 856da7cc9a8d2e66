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
}
