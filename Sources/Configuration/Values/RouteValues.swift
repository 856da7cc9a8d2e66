import Base

/// What routes are matched by, and what they ask for.
enum RouteValues {
    /// A path in the form in which requests are compared (RFC 3986 section 6.2.2): any other would never match.
    static func path(_ text: String) throws(ValueFault) -> Value {
        if ["~", "~*", "^~"].contains(text) {
            throw .refused(
                "a route is a path, not a pattern", suggestion: "write `route /api { ... }` for /api and all below it")
        }
        let value = try URLs.path(text)
        let normal = normal(Array(text.utf8))
        if normal != text {
            throw .refused("\(quoted(text)) never matches: requests are compared in normal form", suggestion: "write `\(normal)`")
        }
        return value
    }

    /// Unreserved characters stand for themselves, digits of escapes are upper case.
    private static func normal(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        var at = 0
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "%"), at + 2 < bytes.count, let high = ASCII.hexValue(bytes[at + 1]),
                let low = ASCII.hexValue(bytes[at + 2])
            else {
                out.append(bytes[at])
                at += 1
                continue
            }
            let byte = high << 4 | low
            if ASCII.isAlpha(byte) || ASCII.isDigit(byte) || "-._~".utf8.contains(byte) {
                out.append(byte)
            } else {
                out += bytes[at..<at + 3].map { ASCII.isAlpha($0) ? $0 & 0xDF : $0 }
            }
            at += 3
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// What may stand in `Host`.
    static func authority(_ text: String) throws(ValueFault) -> Value {
        let end = text.utf8.last == UInt8(ascii: "]") ? nil : text.lastIndex(of: ":")
        guard let end else { return try Hosts.host(text, wildcard: false) }
        let digits = text[end...].dropFirst()
        guard digits.utf8.allSatisfy(ASCII.isDigit), let port = UInt16(digits), port > 0 else {
            throw .refused("\(quoted(String(digits))) is not a port")
        }
        guard case .text(let host) = try Hosts.host(String(text[..<end]), wildcard: false) else { return .text(text) }
        return .text("\(host):\(port)")
    }

    static func splitKey(_ text: String) throws(ValueFault) -> Value {
        let words = ["client", "key", "tenant", "request"]
        if words.contains(text) { return .text(text) }
        if text.hasPrefix("header:") {
            try HeaderFields.ofClients(String(text.dropFirst(7)))
            return .text(text.asciiLowercased)
        }
        throw .refused(
            "\(quoted(text)) is not known here: there is \(words.map { "`\($0)`" }.joined(separator: ", ")), `header:NAME`",
            suggestion: Suggester().suggestion(for: text, among: words))
    }

    static func methods(_ text: String) throws(ValueFault) -> Value {
        for name in try list(text) {
            guard name.utf8.allSatisfy(ASCII.isToken) else { throw .refused("\(quoted(name)) is not a method") }
            // Methods are told apart by case (RFC 9110 section 9.1).
            let upper = name.uppercased()
            if name != upper, ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(upper) {
                throw .refused("\(quoted(name)) is no method that anybody uses", suggestion: "write `\(upper)`")
            }
        }
        return .text(text)
    }

    static func condition(_ text: String, ofField: Bool) throws(ValueFault) -> Value {
        let name = text.prefix { $0 != ":" }
        guard !name.isEmpty else { throw .refused("\(quoted(text)) has no name", suggestion: "write NAME or NAME:VALUE") }
        if ofField {
            try HeaderFields.ofClients(String(name))
        } else if name.utf8.contains(where: { Texts.isControl($0) }) {
            throw .refused("a control character in \(quoted(text))")
        }
        if name.count < text.count { _ = try HeaderFields.value(String(text.dropFirst(name.count + 1))) }
        return .text(text)
    }

    /// Characters of a scope (RFC 6749 section 3.3), but the comma.
    static func grants(_ text: String) throws(ValueFault) -> Value {
        for name in try list(text) {
            let isGrant = name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
            guard isGrant, name.utf8.count <= 128 else { throw .refused("\(quoted(name)) is not a name of a role or a scope") }
        }
        return .text(text)
    }

    /// What stands between the commas.
    static func list(_ text: String) throws(ValueFault) -> [String] {
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if names.contains("") { throw .refused("an empty name in \(quoted(text))") }
        for (number, name) in names.enumerated() where names[..<number].contains(name) {
            throw .refused("\(quoted(name)) stands twice")
        }
        return names
    }
}
