/// A text with parts of the request in it.
public struct RequestTemplate: Sendable, Hashable, CustomStringConvertible {
    public enum Part: Sendable, Hashable {
        case text(String)
        /// As it was received, but for what a URI can't hold.
        case path
        /// Without the `?`.
        case query
        /// With the `?` in front of it; nothing where there is no query.
        case markedQuery
        /// Without a port.
        case host
        /// The tenant's id.
        case tenant
    }

    public private(set) var parts: [Part] = []

    /// As a file says it in quotes, but for what else has an escape there.
    public var description: String {
        parts.map { part in
            switch part {
            case .text(let text): text.replacing("{", with: "\\{")
            case .path: "{path}"
            case .query: "{query}"
            case .markedQuery: "?{query}"
            case .host: "{host}"
            case .tenant: "{tenant}"
            }
        }.joined()
    }

    static let names = ["{path}", "{query}", "{host}", "{tenant}"]

    /// - Parameter text: as a word has it: what stands behind a backslash there is marked.
    init(_ text: String) throws(ValueFault) {
        var rest = text[...]
        var plain = ""
        while let first = rest.first {
            guard first == "{", let name = Self.placeholder(rest) else {
                plain += first == Word.escapedBrace ? "{" : String(first)
                rest = rest.dropFirst()
                continue
            }
            guard let part = Self.part(name) else {
                throw .refused(
                    "\(quoted(String(name))) is not known here: there are {path}, {query}, {host} and {tenant}",
                    suggestion: Suggester().suggestion(for: String(name), among: Self.names)
                        ?? "in quotes `\\{` is a brace and nothing else")
            }
            rest = rest.dropFirst(name.count)
            let isMarked = part == .query && plain.last == "?"
            if isMarked { plain.removeLast() }
            if !plain.isEmpty { parts.append(.text(plain)) }
            plain = ""
            parts.append(isMarked ? .markedQuery : part)
        }
        if !plain.isEmpty { parts.append(.text(plain)) }
    }

    /// `{name}`, where that is what stands there.
    private static func placeholder(_ text: Substring) -> Substring? {
        let name = text.dropFirst().prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        guard !name.isEmpty, name.endIndex < text.endIndex, text[name.endIndex] == "}" else { return nil }
        return text[...name.endIndex]
    }

    private static func part(_ name: Substring) -> Part? {
        switch name {
        case "{path}": .path
        case "{query}": .query
        case "{host}": .host
        case "{tenant}": .tenant
        default: nil
        }
    }
}
