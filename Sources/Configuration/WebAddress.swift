import Base

/// A URL that the gateway asks itself, taken apart.
public struct WebAddress: Sendable, Hashable {
    public var isSecure: Bool
    /// Without brackets.
    public var host: String
    public var port: UInt16
    /// As it goes into `Host`.
    public var authority: String
    /// Path and query.
    public var target: String

    /// - Parameter url: http or https, as the configuration has checked it; nil where it has no host, or another name or password
    ///   before it, which nobody is sent, or a port that is none.
    public init?(_ url: String) {
        isSecure = url.asciiLowercased.hasPrefix("https://")
        guard isSecure || url.asciiLowercased.hasPrefix("http://") else { return nil }
        let rest = url.dropFirst(isSecure ? 8 : 7).prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = String(rest[..<end])
        target = rest[end...].isEmpty ? "/" : rest[end] == "?" ? "/" + rest[end...] : String(rest[end...])
        if authority.contains("@") { return nil }
        port = isSecure ? 443 : 80
        var name = Substring(authority)
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            let digits = authority[authority.index(after: colon)...]
            guard digits.utf8.allSatisfy(ASCII.isDigit), let number = UInt16(digits), number > 0 else { return nil }
            port = number
            name = authority[..<colon]
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        if name.isEmpty { return nil }
        host = String(name)
    }
}
