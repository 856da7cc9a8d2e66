import Base

/// Names and addresses: of tenants, of servers, to listen on.
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
                if name.contains("]:") { throw .refused("a host has no port here: \(quoted(text))") }
                throw .refused("\(quoted(text)) is not an IPv6 address")
            }
            return .text("[\(address.text)]")
        }
        if let address = IPAddress(name) {
            if address.isIPv4 { return .text(address.text) }
            throw .refused("an IPv6 address stands in brackets", suggestion: "did you mean `[\(address.text)]`?")
        }
        if let colon = name.utf8.firstIndex(of: UInt8(ascii: ":")) {
            if name.contains("://") { throw .refused("\(quoted(text)) is a URL, not a host") }
            let rest = name[colon...].utf8.dropFirst()
            if !rest.isEmpty, rest.allSatisfy(ASCII.isDigit) {
                throw .refused("a host has no port here", suggestion: "did you mean `\(name[..<colon])`?")
            }
        }
        if name.utf8.last == UInt8(ascii: ".") { name = String(name.dropLast()) }
        var labels = name
        if wildcard, name.hasPrefix("*.") { labels = String(name.dropFirst(2)) }
        if labels.utf8.contains(UInt8(ascii: "*")) {
            throw .refused(wildcard ? "`*` can only be the leftmost label, as in `*.example.test`" : "a wildcard can't stand here")
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
        for byte in label where !(ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")) {
            return byte >= 0x80 ? "names with other letters are written in their `xn--` form" : "a label holds letters, digits, `-` and `_` only"
        }
        return nil
    }

    static func endpoint(_ text: String) throws(ValueFault) -> Value {
        if text.utf8.allSatisfy(ASCII.isDigit) { return .endpoint(Endpoint(host: nil, port: try port(text))) }
        if !text.utf8.contains(UInt8(ascii: ":")), IPAddress(text) == nil {
            throw .refused("\(quoted(text)) is neither a port nor an address with one", suggestion: "write it as 127.0.0.1:8080")
        }
        let (host, portText) = try split(text, example: "127.0.0.1:8080")
        let number = try port(portText)
        if host == "*" { return .endpoint(Endpoint(host: nil, port: number)) }
        guard let address = IPAddress(host) else {
            throw .refused("\(quoted(host)) is not an address", suggestion: "write 127.0.0.1, [::1] or *")
        }
        return .endpoint(Endpoint(host: address.text, port: number))
    }

    /// `HOST:PORT` of an upstream's server; a name may hold `{namespace}` and `{tenant}`.
    static func server(_ text: String) throws(ValueFault) -> Value {
        let (host, portText) = try split(text, example: "app.internal:80")
        let number = try port(portText)
        if let address = IPAddress(host) { return .server(host: address.text, port: number) }
        var name = host.asciiLowercased
        if name.utf8.last == UInt8(ascii: ".") { name = String(name.dropLast()) }
        if let fault = placeholderFault(name) { throw fault }
        // A placeholder stands for a label or a part of one.
        if let fault = nameFault(expand(name, namespace: "x", tenant: "x")) {
            throw .refused("\(quoted(host)) is not a host: \(fault)")
        }
        return .server(host: name, port: number)
    }

    private static func placeholderFault(_ name: String) -> ValueFault? {
        var rest = name[...]
        while let open = rest.utf8.firstIndex(of: UInt8(ascii: "{")) {
            guard let close = rest[open...].utf8.firstIndex(of: UInt8(ascii: "}")) else {
                return .refused("`{` without `}` in \(quoted(name))")
            }
            let placeholder = String(rest[open...close])
            if placeholder != "{namespace}" && placeholder != "{tenant}" {
                let near = Suggester().suggestion(for: placeholder, among: ["{namespace}", "{tenant}"])
                return .refused("\(quoted(placeholder)) is not known here: there are {namespace} and {tenant}", suggestion: near)
            }
            rest = rest[rest.utf8.index(after: close)...]
        }
        return nil
    }

    /// A server's name with its placeholders replaced.
    static func expand(_ template: String, namespace: String, tenant: String) -> String {
        guard template.utf8.contains(UInt8(ascii: "{")) else { return template }
        var expanded = ""
        var rest = template[...]
        while let open = rest.utf8.firstIndex(of: UInt8(ascii: "{")),
            let close = rest[open...].utf8.firstIndex(of: UInt8(ascii: "}"))
        {
            expanded += rest[..<open]
            expanded += rest[open...close] == "{tenant}" ? tenant : namespace
            rest = rest[rest.utf8.index(after: close)...]
        }
        return expanded + rest
    }

    /// Host without brackets, and what stands behind the last colon.
    private static func split(_ text: String, example: String) throws(ValueFault) -> (host: String, port: String) {
        if text.contains("://") { throw .refused("\(quoted(text)) is a URL", suggestion: "write it as \(example)") }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), text.utf8.last != UInt8(ascii: "]") else {
            throw .refused("\(quoted(text)) has no port", suggestion: "write it as \(example)")
        }
        var host = text[..<colon]
        let port = String(text[colon...].dropFirst())
        if host.utf8.first == UInt8(ascii: "["), host.utf8.last == UInt8(ascii: "]"), host.utf8.count > 2 {
            host = host.dropFirst().dropLast()
            guard IPAddress(String(host))?.isIPv4 == false else {
                throw .refused("\(quoted(String(host))) is not an IPv6 address")
            }
        } else if host.utf8.contains(UInt8(ascii: ":")) {
            throw .refused("an IPv6 address stands in brackets", suggestion: "write it as [::1]:80")
        }
        if host.isEmpty { throw .refused("\(quoted(text)) has no host", suggestion: "write it as \(example)") }
        return (String(host), port)
    }

    private static func port(_ text: String) throws(ValueFault) -> UInt16 {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= 5, bytes.allSatisfy(ASCII.isDigit) else {
            throw .refused("\(quoted(text)) is not a port: a port is 1 to 65535")
        }
        let number = bytes.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard let port = UInt16(exactly: number), port > 0 else {
            throw .refused("\(quoted(text)) is not a port: a port is 1 to 65535")
        }
        return port
    }

    /// `ADDRESS` or `ADDRESS/PREFIX`.
    static func addressBlock(_ text: String) throws(ValueFault) -> Value {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else {
            throw .refused("\(quoted(text)) is not an address or a block of them", suggestion: "write 10.0.0.0/8 or ::1")
        }
        let bits = address.isIPv4 ? 32 : 128
        var prefix = bits
        if parts.count == 2 {
            let digits = parts[1].utf8
            guard (1...3).contains(digits.count), digits.allSatisfy(ASCII.isDigit) else {
                throw .refused("\(quoted(String(parts[1]))) is not a prefix length")
            }
            prefix = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
            guard prefix <= bits else { throw .refused("a prefix of \(quoted(String(parts[0]))) is 0 to \(bits)") }
        }
        if address.isIPv4 { prefix += 96 }
        let block = AddressBlock(
            high: address.high & (prefix >= 64 ? .max : ~(UInt64.max >> UInt64(prefix))),
            low: prefix <= 64 ? 0 : address.low & ~(prefix == 128 ? 0 : UInt64.max >> UInt64(prefix - 64)),
            prefix: prefix)
        if block.high != address.high || block.low != address.low {
            throw .refused("\(quoted(text)) has bits behind its prefix", suggestion: blockHint(block, isIPv4: address.isIPv4))
        }
        return .block(block)
    }

    private static func blockHint(_ block: AddressBlock, isIPv4: Bool) -> String {
        let address = IPAddress(high: block.high, low: block.low, isIPv4: isIPv4)
        return "did you mean `\(address.text)/\(block.prefix - (isIPv4 ? 96 : 0))`?"
    }
}
