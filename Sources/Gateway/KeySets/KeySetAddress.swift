/// An https URL taken apart, as the configuration has checked it.
struct KeySetAddress: Sendable {
    /// Without brackets.
    var host: String
    var port: UInt16 = 443
    /// As it goes into `Host`.
    var authority: String
    /// Path and query.
    var target: String

    init?(_ url: String) {
        guard url.lowercased().hasPrefix("https://") else { return nil }
        let rest = url.dropFirst(8).prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = String(rest[..<end])
        target = rest[end...].isEmpty ? "/" : rest[end] == "?" ? "/" + rest[end...] : String(rest[end...])
        // Nobody's password is sent to a key set.
        if authority.contains("@") { return nil }
        var name = Substring(authority)
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else { return nil }
            port = number
            name = authority[..<colon]
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        if name.isEmpty { return nil }
        host = String(name)
    }
}
