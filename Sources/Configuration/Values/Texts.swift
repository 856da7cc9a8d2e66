import Base

/// Names, paths, URLs, header fields and secrets.
enum Texts {
    static let identifierMax = 63
    /// A header field's value. A head must stay within what servers take, and the gateway adds fields of its own.
    static let headerValueMax = 4096
    static let secretMax = 64 << 10

    static func identifier(_ text: String) throws(ValueFault) -> Value {
        let bytes = text.utf8
        if bytes.isEmpty { throw .refused("an empty name") }
        if bytes.count > identifierMax { throw .refused("\(quoted(text)) is longer than \(identifierMax) bytes") }
        for byte in bytes
        where !(ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")) {
            throw .refused("\(quoted(text)) is not a name: letters, digits, `-`, `_` and `.` only")
        }
        // Names become segments of paths, where `.` and `..` mean something else.
        if bytes.first == UInt8(ascii: ".") { throw .refused("a name can't begin with `.`") }
        return .text(text)
    }

    static func text(_ text: String) throws(ValueFault) -> Value {
        if text.isEmpty { throw .refused("an empty value") }
        if text.utf8.contains(where: isControl) { throw .refused("a control character in \(quoted(text))") }
        return .text(text)
    }

    private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }

    static func path(_ text: String, from folder: String) throws(ValueFault) -> Value {
        if text.isEmpty { throw .refused("an empty path") }
        if text.utf8.contains(where: isControl) { throw .refused("a control character in \(quoted(text))") }
        return .text(Path.resolve(text, from: folder))
    }

    static func url(_ text: String, schemes: [String]) throws(ValueFault) -> Value {
        guard let scheme = schemes.first(where: { text.asciiLowercased.hasPrefix($0 + "://") }) else {
            throw .refused("\(quoted(text)) is not an \(schemes[0]) URL", suggestion: "write \(schemes[0])://HOST/PATH")
        }
        let rest = text.utf8.dropFirst(scheme.utf8.count + 3)
        if let bad = rest.first(where: { $0 <= 0x20 || $0 >= 0x7F || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            throw .refused("\(quoted(text)) holds \(bad >= 0x7F ? "a byte that" : "a character that") a URL can't hold")
        }
        if rest.first.map({ $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) ?? true {
            throw .refused("\(quoted(text)) has no host")
        }
        return .text(text)
    }

    /// A path as a normalised request line has it: no query, no `//`, no `.` and `..`.
    static func urlPath(_ text: String) throws(ValueFault) -> Value {
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

    /// Fields that frame a message, belong to one connection, or are the gateway's own word to the upstream.
    private static let reserved: Set<String> = [
        "connection", "transfer-encoding", "content-length", "host", "upgrade", "te", "trailer", "keep-alive",
        "proxy-connection",
    ]

    static func headerName(_ text: String) throws(ValueFault) -> Value {
        guard !text.isEmpty, text.utf8.count <= 256, text.utf8.allSatisfy(ASCII.isToken) else {
            throw .refused("\(quoted(text)) is not a header name")
        }
        // Many servers take `_` for `-`.
        let folded = String(decoding: text.utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : ASCII.lowercase($0) }, as: UTF8.self)
        if reserved.contains(folded) || folded.hasPrefix("x-tenant-") {
            throw .refused("\(quoted(text)) is set by the gateway itself")
        }
        return .text(text)
    }

    static func headerValue(_ text: String) throws(ValueFault) -> Value {
        if text.utf8.count > headerValueMax { throw .refused("a header value longer than \(headerValueMax) bytes") }
        if text.utf8.contains(where: isControl) { throw .refused("a control character in a header value") }
        if text.utf8.first == ASCII.space || text.utf8.last == ASCII.space {
            throw .refused("a header value can't begin or end with a space")
        }
        return .text(text)
    }

    static func keyDigest(_ text: String) throws(ValueFault) -> Value {
        let digest = text.utf8.dropFirst(7)
        guard text.hasPrefix("sha256:"), digest.count == 64, digest.allSatisfy({ ASCII.hexValue($0) != nil }) else {
            if text.hasPrefix("gw_") {
                throw .refused("a key itself can't stand here, only its digest: `gateway key create` prints it")
            }
            throw .refused("\(quoted(text)) is not `sha256:` and 64 hexadecimal digits")
        }
        return .text(text.asciiLowercased)
    }

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

    /// Whether a value names a secret instead of holding one.
    static func isSecretReference(_ text: String) -> Bool { text.hasPrefix("file:") || text.hasPrefix("env:") }

    /// The secret behind `file:PATH` or `env:NAME`, without a line end. It never stands in a message.
    static func secret(_ text: String, from folder: String, in source: ConfigurationSource) throws(ValueFault) -> String {
        var bytes: [UInt8]
        if text.hasPrefix("env:") {
            let name = String(text.dropFirst(4))
            guard let value = source.environment(name) else {
                throw .refused("the environment has no variable \(quoted(name))")
            }
            bytes = Array(value.utf8)
        } else {
            let path = Path.resolve(String(text.dropFirst(5)), from: folder)
            switch source.read(path) {
            case .success(let content): bytes = content
            case .failure(let error): throw .refused("the secret's file \(quoted(path)) can't be read: \(error)")
            }
        }
        if bytes.last == ASCII.lf { bytes.removeLast() }
        if bytes.last == ASCII.cr { bytes.removeLast() }
        if bytes.isEmpty { throw .refused("the secret \(quoted(text)) is empty") }
        if bytes.count > secretMax { throw .refused("the secret \(quoted(text)) is longer than \(secretMax >> 10)k") }
        guard let secret = String(validating: bytes, as: UTF8.self) else {
            throw .refused("the secret \(quoted(text)) is not UTF-8 text")
        }
        return secret
    }
}
