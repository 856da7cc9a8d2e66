import Base

/// URLs, and paths as requests carry them.
enum URLs {
    static func url(_ text: String, schemes: [String]) throws(ValueFault) -> Value {
        guard let scheme = schemes.first(where: { text.asciiLowercased.hasPrefix($0 + "://") }) else {
            throw .refused("\(quoted(text)) is not an \(schemes[0]) URL", suggestion: "write \(schemes[0])://HOST/PATH")
        }
        let rest = text.utf8.dropFirst(scheme.utf8.count + 3)
        if rest.contains(where: { $0 <= 0x20 || $0 >= 0x7F || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            throw .refused("\(quoted(text)) holds a character that a URL can't hold")
        }
        if rest.first.map({ $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) ?? true {
            throw .refused("\(quoted(text)) has no host")
        }
        guard text.utf8.count <= Limits.urlMax else { throw .refused("a URL of more than \(Limits.urlMax) bytes") }
        return .text(text)
    }

    /// A path as a normalised request line has it: no query, no `//`, no `.` and `..`.
    static func path(_ text: String) throws(ValueFault) -> Value {
        guard text.utf8.first == UInt8(ascii: "/") else {
            throw .refused("\(quoted(text)) does not begin with `/`", suggestion: "did you mean `/\(text)`?")
        }
        var digits = 0
        for byte in text.utf8 {
            if digits > 0 {
                guard ASCII.hexValue(byte) != nil else { break }
                digits -= 1
            } else if byte == UInt8(ascii: "%") {
                digits = 2
            } else if byte <= 0x20 || byte >= 0x7F {
                throw .refused("\(quoted(text)) holds a character that a path holds percent-encoded only")
            } else if byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") {
                throw .refused("\(quoted(text)) is more than a path: there is no query here")
            }
        }
        if digits > 0 { throw .refused("`%` stands before two hexadecimal digits") }
        let segments = text.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            if segment.isEmpty, index + 1 < segments.count { throw .refused("`//` in \(quoted(text)) never matches") }
            if segment.elementsEqual(".".utf8) || segment.elementsEqual("..".utf8) {
                throw .refused("`.` and `..` in \(quoted(text)) never match")
            }
        }
        return .text(text)
    }
}
