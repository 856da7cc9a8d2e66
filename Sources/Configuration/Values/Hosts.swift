import Base

/// Names of hosts, and the addresses that stand for one.
enum Hosts {
    /// Bytes of a whole name (RFC 1035 section 2.3.4, without the dots of the wire form).
    static let nameMax = 253
    static let labelMax = 63

    /// A host as requests name it: lower case, without a trailing dot, an IPv6 address canonical and in brackets.
    static func host(_ text: String, wildcard: Bool) throws(ValueFault) -> Value {
        var name = text.asciiLowercased
        if name.utf8.first == UInt8(ascii: "[") {
            guard name.utf8.last == UInt8(ascii: "]"), let address = IPAddress(String(name.dropFirst().dropLast())),
                !address.isIPv4
            else {
                if let end = name.utf8.firstIndex(of: UInt8(ascii: "]")), name[end...].hasPrefix("]:") {
                    throw .refused("a host has no port here", suggestion: "did you mean `\(name[...end])`?")
                }
                throw .refused("\(quoted(text)) is not an IPv6 address")
            }
            return .text("[\(address.text)]")
        }
        if let address = IPAddress(name) {
            if address.isIPv4 { return .text(address.text) }
            throw .refused("an IPv6 address stands in brackets", suggestion: "did you mean `[\(address.text)]`?")
        }
        if let colon = name.utf8.firstIndex(of: UInt8(ascii: ":")) {
            if name[colon...].hasPrefix("://") { throw .refused("\(quoted(text)) is a URL, not a host") }
            let rest = name[colon...].utf8.dropFirst()
            if !rest.isEmpty, rest.allSatisfy(ASCII.isDigit) {
                throw .refused("a host has no port here", suggestion: "did you mean `\(name[..<colon])`?")
            }
        }
        name = HostName.normal(name)
        var labels = name
        if wildcard, name.hasPrefix("*.") { labels = String(name.dropFirst(2)) }
        if wildcard, name == "*" {
            throw .refused("`*` for every host is not supported yet", suggestion: "name the hosts; `*.example.test` is all below one")
        }
        if labels.utf8.contains(UInt8(ascii: "*")) {
            throw .refused(
                wildcard ? "`*` can only be the leftmost label, as in `*.example.test`" : "a wildcard can't stand here")
        }
        if let fault = nameFault(labels) { throw .refused("\(quoted(text)) is not a host: \(fault)") }
        if name.utf8.count > nameMax { throw .refused("\(quoted(text)) is longer than \(nameMax) bytes") }
        return .text(name)
    }

    /// What is wrong with a DNS name; nil where nothing is. Letters, digits, `-`, and `_` as many use it.
    static func nameFault(_ name: String) -> String? {
        if name.utf8.count > nameMax { return "it is longer than \(nameMax) bytes" }
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for label in labels { if let fault = labelFault(label) { return fault } }
        // `127.1` and `1` are addresses to some readers and names to others.
        if labels.last?.allSatisfy(ASCII.isDigit) == true { return "its last label is a number" }
        return nil
    }

    static func labelFault(_ label: some BidirectionalCollection<UInt8>) -> String? {
        guard let first = label.first, let last = label.last else { return "an empty label" }
        if label.count > labelMax { return "a label is longer than \(labelMax) bytes" }
        if first == UInt8(ascii: "-") || last == UInt8(ascii: "-") { return "a label can't begin or end with `-`" }
        guard let strange = label.first(where: { !ASCII.isNameByte($0) }) else { return nil }
        return strange >= 0x80
            ? "names with other letters are written in their `xn--` form"
            : "a label holds letters, digits, `-` and `_` only"
    }
}

extension ASCII {
    /// A letter, a digit, `-` or `_`.
    static func isNameByte(_ byte: UInt8) -> Bool {
        isAlpha(byte) || isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
