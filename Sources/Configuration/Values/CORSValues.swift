import Base

/// What browsers are told.
enum CORSValues {
    /// Of one field, with all that stands in it: it goes out with every answer.
    private static let sizeMax = 2048

    /// Origins as browsers serialise them (RFC 6454 section 6.2, and the URL standard): others would never match.
    static func origins(_ text: String) throws(ValueFault) -> Value {
        for origin in try list(text, alone: "*") where origin != "*" { try judge(origin) }
        return .text(text)
    }

    private static func judge(_ origin: String) throws(ValueFault) {
        if origin == "null" {
            throw .refused("`null` is the origin of whoever hides his: every page of a sandbox could read answers")
        }
        guard let colon = origin.firstIndex(of: ":"), origin[colon...].hasPrefix("://") else {
            throw .refused("\(quoted(origin)) is not an origin", suggestion: "write https://HOST")
        }
        let scheme = String(origin[..<colon])
        var rest = origin[colon...].dropFirst(3)
        if let end = rest.firstIndex(where: { "/?#".contains($0) }) {
            let start = String(origin[..<end])
            throw .refused("\(quoted(origin)) is more than an origin, which has no path", suggestion: "write `\(start)`")
        }
        if rest.contains("*") {
            throw .refused("\(quoted(origin)) names no origin", suggestion: "name each of them, or write `*` for all there are")
        }
        var port: UInt16?
        if let last = rest.lastIndex(of: ":"), rest.last != "]" {
            guard let number = UInt16(rest[last...].dropFirst()), "\(number)" == rest[last...].dropFirst() else {
                throw .refused("\(quoted(origin)) has no port that is one")
            }
            (port, rest) = (number, rest[..<last])
        }
        guard !scheme.isEmpty, scheme.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || "+-.".utf8.contains($0) }) else {
            throw .refused("\(quoted(origin)) is not an origin", suggestion: "write https://HOST")
        }
        if rest.isEmpty { throw .refused("\(quoted(origin)) has no host") }
        // Those of browsers' extensions are no names: they are taken as they stand.
        guard scheme.asciiLowercased == "https" || scheme.asciiLowercased == "http" else {
            return _ = try HeaderFields.value(origin)
        }
        guard case .text(let host) = try Hosts.host(String(rest), wildcard: false) else { return }
        let normal = port == (scheme.asciiLowercased == "https" ? 443 : 80) ? nil : port
        let sent = "\(scheme.asciiLowercased)://\(host)\(normal.map { ":\($0)" } ?? "")"
        if sent != origin { throw .refused("no browser sends \(quoted(origin))", suggestion: "write `\(sent)`") }
    }

    static func methods(_ text: String) throws(ValueFault) -> Value {
        if text == "*" { return .text(text) }
        return try RouteValues.methods(text)
    }

    static func fields(_ text: String) throws(ValueFault) -> Value {
        for name in try list(text, alone: "*") { _ = try HeaderFields.token(name) }
        return .text(text)
    }

    private static func list(_ text: String, alone: String) throws(ValueFault) -> [String] {
        let names = try RouteValues.list(text)
        if names.count > 1, names.contains(alone) { throw .refused("\(quoted(alone)) stands alone, or not at all") }
        if text.utf8.count > sizeMax { throw .refused("more than \(sizeMax) bytes") }
        return names
    }
}
