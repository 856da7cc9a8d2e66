import Base

/// Numbers with units. Digits only, checked arithmetic: no signs, no fractions, no overflow.
enum Quantities {
    static func count(_ text: String, in range: ClosedRange<UInt64>, or word: String?) throws(ValueFault) -> Value {
        if let word, text == word { return .text(word) }
        let alternative = word.map { " or `\($0)`" } ?? ""
        guard let (number, unit) = split(text), unit.isEmpty else {
            let near = word.flatMap { Suggester().suggestion(for: text, among: [$0]) }
            throw .refused("\(quoted(text)) is not a number\(alternative)", suggestion: near)
        }
        guard let number, range.contains(number) else {
            throw .refused("\(quoted(text)) is not between \(range.lowerBound) and \(range.upperBound)")
        }
        return .number(number)
    }

    private static let timeUnits: [(name: String, nanoseconds: UInt64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ]

    static func time(_ text: String, in range: ClosedRange<UInt64>) throws(ValueFault) -> Value {
        guard let (number, unit) = split(text) else {
            throw .refused("\(quoted(text)) is not a time", suggestion: "write 250ms, 5s, 2m, 1h or 1d")
        }
        guard let scale = timeUnits.first(where: { $0.name == unit }) else {
            let hint = unit.isEmpty ? "did you mean `\(text)s`?" : "the units are ms, s, m, h, d"
            throw .refused(
                unit.isEmpty ? "a time needs a unit" : "\(quoted(text)) has an unknown unit", suggestion: hint)
        }
        guard let value = product(number, scale.nanoseconds), range.contains(value) else {
            if range.lowerBound > 0, number == 0 { throw .refused("a time of nothing can't be met") }
            if let value = product(number, scale.nanoseconds), value < range.lowerBound {
                throw .refused("\(quoted(text)) is less than \(show(time: range.lowerBound))")
            }
            throw .refused("\(quoted(text)) is more than \(show(time: range.upperBound))")
        }
        return .number(value)
    }

    static func size(_ text: String, in range: ClosedRange<UInt64>) throws(ValueFault) -> Value {
        let value = try bytes(text, of: text)
        guard let value, range.contains(value) else {
            throw .refused(
                "\(quoted(text)) is not between \(show(size: range.lowerBound)) and \(show(size: range.upperBound))")
        }
        return .number(value)
    }

    /// nil is past 64 bits.
    private static func bytes(_ text: String, of whole: String) throws(ValueFault) -> UInt64? {
        guard let (number, unit) = split(text) else {
            throw .refused("\(quoted(whole)) is not a size", suggestion: "write 512, 64k, 10m or 1g")
        }
        let scale: UInt64
        switch unit {
        case "": scale = 1
        case "k": scale = 1 << 10
        case "m": scale = 1 << 20
        case "g": scale = 1 << 30
        default:
            let small = unit.asciiLowercased.utf8.first.map { String(UnicodeScalar($0)) } ?? ""
            let digits = text.utf8.count - unit.utf8.count
            throw .refused(
                "\(quoted(whole)) has an unknown unit",
                suggestion: ["k", "m", "g"].contains(small)
                    ? "did you mean `\(text.prefix(digits))\(small)`?" : "the units are k, m, g")
        }
        return product(number, scale)
    }

    /// Of a period of rates: `s`, `m`, `h`.
    static func nanoseconds(of period: String) -> UInt64 {
        period == "h" ? 3_600_000_000_000 : period == "m" ? 60_000_000_000 : 1_000_000_000
    }

    /// `200` or `200-399`
    static func statuses(_ text: String) throws(ValueFault) -> Value {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part -> Int? in
            part.utf8.count == 3 && part.utf8.allSatisfy(ASCII.isDigit) ? Int(part) : nil
        }
        guard numbers.count == parts.count, let first = numbers.first, let last = numbers.last, (200...599).contains(first),
            (first...599).contains(last)
        else { throw .refused("\(quoted(text)) is not a range of statuses", suggestion: "write 200 or 200-399") }
        return .statuses(first...last)
    }

    static func percent(_ text: String, in range: ClosedRange<UInt64>) throws(ValueFault) -> Value {
        guard let (number, unit) = split(text), unit == "%" else {
            throw .refused("\(quoted(text)) is not a share", suggestion: "write 50%")
        }
        guard let number, range.contains(number) else {
            throw .refused("\(quoted(text)) is not between \(range.lowerBound)% and \(range.upperBound)%")
        }
        return .number(number)
    }

    /// `3x`
    static func factor(_ text: String, in range: ClosedRange<UInt64>) throws(ValueFault) -> Value {
        guard let (number, unit) = split(text), unit == "x" else {
            throw .refused("\(quoted(text)) is not a multiple", suggestion: "write 3x")
        }
        guard let number, range.contains(number) else {
            throw .refused("\(quoted(text)) is not between \(range.lowerBound)x and \(range.upperBound)x")
        }
        return .number(number)
    }

    static func rate(_ text: String) throws(ValueFault) -> Value {
        try amount(text, periods: ["s", "m", "h"], hint: "write 100/s, 6000/m or 90000/h")
    }

    /// `100/10s`
    static func countIn(_ text: String) throws(ValueFault) -> Value {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            throw .refused("\(quoted(text)) is not a count in a time", suggestion: "write 100/10s")
        }
        guard case .number(let count) = try count(String(parts[0]), in: 1...1_000_000, or: nil),
            case .number(let time) = try time(String(parts[1]), in: 1_000_000_000...3_600_000_000_000)
        else { throw .refused("\(quoted(text)) is not a count in a time", suggestion: "write 100/10s") }
        return .countIn(count, time: time)
    }

    static func quota(_ text: String) throws(ValueFault) -> Value {
        try amount(text, periods: ["hour", "day", "month"], hint: "write 50000/hour, 500000/day or 10000000/month")
    }

    static func bandwidth(_ text: String) throws(ValueFault) -> Value {
        guard text.utf8.count > 2, text.hasSuffix("/s") else {
            throw .refused("\(quoted(text)) is not a bandwidth", suggestion: "write 20m/s")
        }
        guard let value = try bytes(String(text.dropLast(2)), of: text), value > 0, value <= 1 << 50 else {
            throw .refused("\(quoted(text)) is not between 1/s and \(show(size: 1 << 50))/s")
        }
        return .amount(value, per: "s")
    }

    private static func amount(_ text: String, periods: [String], hint: String) throws(ValueFault) -> Value {
        guard let (number, unit) = split(text), unit.utf8.first == UInt8(ascii: "/"),
            periods.contains(String(unit.dropFirst()))
        else { throw .refused("\(quoted(text)) is not a count in a time", suggestion: hint) }
        guard let number, (1...1_000_000_000_000).contains(number) else {
            throw .refused("\(quoted(text)) is not between 1 and 1000000000000")
        }
        return .amount(number, per: String(unit.dropFirst()))
    }

    /// Leading digits and what follows; nil where there is no digit, a nil number where it is past 64 bits.
    private static func split(_ text: String) -> (number: UInt64?, unit: String)? {
        var number: UInt64? = 0
        var digits = 0
        for byte in text.utf8 {
            guard ASCII.isDigit(byte) else { break }
            digits += 1
            guard let value = number else { continue }
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = shifted.addingReportingOverflow(UInt64(byte &- 0x30))
            number = overflow || carry ? nil : sum
        }
        guard digits > 0 else { return nil }
        return (number, String(decoding: text.utf8.dropFirst(digits), as: UTF8.self))
    }

    private static func product(_ number: UInt64?, _ scale: UInt64) -> UInt64? {
        guard let number else { return nil }
        let (value, overflow) = number.multipliedReportingOverflow(by: scale)
        return overflow ? nil : value
    }

    static func show(time nanoseconds: UInt64) -> String {
        let unit = timeUnits.last { nanoseconds % $0.nanoseconds == 0 && nanoseconds >= $0.nanoseconds }
        guard let unit else { return "\(nanoseconds)ns" }
        return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
    }

    private static func show(size bytes: UInt64) -> String {
        for (name, scale) in [("g", UInt64(1) << 30), ("m", 1 << 20), ("k", 1 << 10)]
        where bytes >= scale && bytes % scale == 0 {
            return "\(bytes / scale)\(name)"
        }
        return "\(bytes)"
    }
}
