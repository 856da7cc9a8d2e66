import Base

/// What routes answer themselves.
enum OwnAnswerValues {
    /// A text, which is answered as it stands: any characters but those that no text has.
    static func text(_ text: String) throws(ValueFault) -> Value {
        let strange = text.utf8.contains { Texts.isControl($0) && ![0x01, ASCII.tab, ASCII.lf, ASCII.cr].contains($0) }
        if strange { throw .refused("a control character in the text") }
        if text.utf8.count > Limits.ownTextMax { throw .refused("a text of more than \(Limits.ownTextMax) bytes") }
        _ = try RequestTemplate(text)
        return .text(text)
    }

    /// `text/plain` or `text/html; charset=utf-8` (RFC 9110 section 8.3.1).
    static func mediaType(_ text: String) throws(ValueFault) -> Value {
        let type = text.prefix { $0 != ";" }
        let names = type.split(separator: "/", omittingEmptySubsequences: false)
        let trimmed = names.last?.utf8.reversed().drop { $0 == ASCII.space }.count ?? 0
        guard names.count == 2, !names[0].isEmpty, trimmed > 0, names[0].utf8.allSatisfy(ASCII.isToken),
            names[1].utf8.prefix(trimmed).allSatisfy(ASCII.isToken)
        else { throw .refused("\(quoted(text)) is not a media type", suggestion: "write text/plain, and the text behind it") }
        return try HeaderFields.value(text)
    }

    /// Where a redirect leads to: nobody outside decides on the host.
    static func target(_ text: String) throws(ValueFault) -> Value {
        if text.utf8.count > Limits.urlMax { throw .refused("a URL of more than \(Limits.urlMax) bytes") }
        if text.utf8.contains(where: { $0 <= 0x20 && $0 != 0x01 || $0 >= 0x7F || "\"\\<>^`|".utf8.contains($0) }) {
            throw .refused("\(quoted(text)) holds a character that a URL can't hold", suggestion: "percent-encode it")
        }
        let parts = try RequestTemplate(text).parts
        for case .text(let plain) in parts where plain.contains(where: { "{}".contains($0) }) {
            throw .refused("\(quoted(text)) holds a brace, which a URL can't hold", suggestion: "percent-encode it")
        }
        guard case .text(let start)? = parts.first, start.contains("://") else {
            try relative(text, parts)
            return .text(text)
        }
        guard let scheme = ["https://", "http://"].first(where: { start.asciiLowercased.hasPrefix($0) }) else {
            throw .refused("\(quoted(text)) is not a URL to go to", suggestion: "write https://HOST/PATH, or /PATH")
        }
        try authority(of: text, [.text(String(start.dropFirst(scheme.count)))] + parts.dropFirst())
        return .text(text)
    }

    private static func relative(_ text: String, _ parts: [RequestTemplate.Part]) throws(ValueFault) {
        switch parts.first {
        case .path?, .markedQuery?: return
        case .text(let start)? where start.hasPrefix("//"):
            throw .refused("\(quoted(text)) leads to another host without saying how", suggestion: "write https:\(text)")
        case .text(let start)? where start.hasPrefix("/") || start.hasPrefix("?"): return
        default:
            throw .refused(
                "\(quoted(text)) is neither a URL nor a path", suggestion: "begin with https://, http://, / or {path}")
        }
    }

    /// The host ends with a `/`, `?` or `#` that stands there, or with the path: in front of that only the request's own host and
    /// its tenant can stand, of which nobody makes another host.
    private static func authority(of text: String, _ parts: [RequestTemplate.Part]) throws(ValueFault) {
        var host = ""
        for (place, part) in parts.enumerated() {
            switch part {
            case .text(let plain):
                let end = plain.firstIndex { "/?#".contains($0) }
                let own = plain[..<(end ?? plain.endIndex)]
                if place > 0, parts[place - 1] == .host, !own.isEmpty, own.first != ":" {
                    throw .refused("in \(quoted(text)) \(quoted(String(own))) makes another host of {host}", suggestion: "write `{host}/`")
                }
                host += own
                if end != nil { return try judge(host, text) }
            case .host, .tenant: host += "x"
            case .path, .markedQuery: return try judge(host, text)
            case .query:
                throw .refused(
                    "in \(quoted(text)) the query stands where its sender could make another host of it",
                    suggestion: "write `?{query}`")
            }
        }
        try judge(host, text)
    }

    private static func judge(_ authority: String, _ text: String) throws(ValueFault) {
        var host = authority[...]
        if let colon = host.lastIndex(of: ":"), host.last != "]" {
            guard let port = UInt16(host[colon...].dropFirst()), port > 0 else {
                throw .refused("\(quoted(text)) has no port that is one")
            }
            host = host[..<colon]
        }
        if host.isEmpty { throw .refused("\(quoted(text)) has no host") }
        do { _ = try Hosts.host(String(host), wildcard: false) } catch {
            throw .refused("in \(quoted(text)), \(error.message)", suggestion: error.suggestion)
        }
    }
}
