import Base

/// The words of a `price` line.
enum Prices {
    /// `49.00/month`, or `0.20` when more follows.
    static func amount(_ text: String) throws(ValueFault) -> Value {
        let (digits, period) = split(text)
        guard period == nil || period == "month" else {
            throw .refused("a price is per month, or per so much of something", suggestion: "write `\(digits)/month`")
        }
        guard ExactDecimal(digits) != nil else {
            let hint = digits.contains(",") ? "write the fraction behind a point" : "write 49.00/month or 0.20"
            throw .refused("\(quoted(text)) is not an amount of at most 15 digits and 12 decimals", suggestion: hint)
        }
        return .text(text)
    }

    static func split(_ text: String) -> (amount: Substring, period: Substring?) {
        guard let slash = text.firstIndex(of: "/") else { return (text[...], nil) }
        return (text[..<slash], text[text.index(after: slash)...])
    }

    static func currency(_ text: String) throws(ValueFault) -> Value {
        let isCode = text.utf8.count == 3 && text.utf8.allSatisfy { $0 &- 0x41 < 26 }
        if isCode { return .text(text) }
        let upper = String(decoding: text.utf8.map { ASCII.isAlpha($0) ? $0 & 0xDF : $0 }, as: UTF8.self)
        throw .refused(
            "\(quoted(text)) is not the code of a currency",
            suggestion: text.utf8.count == 3 && text.utf8.allSatisfy(ASCII.isAlpha)
                ? "did you mean `\(upper)`?" : "write EUR, USD, ...")
    }
}
