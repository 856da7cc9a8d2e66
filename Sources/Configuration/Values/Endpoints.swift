import Base

/// Addresses with a port, and blocks of addresses.
enum Endpoints {
    static func endpoint(_ text: String) throws(ValueFault) -> Value {
        if text.utf8.allSatisfy(ASCII.isDigit) { return .endpoint(Endpoint(host: nil, port: try port(text))) }
        if !text.utf8.contains(UInt8(ascii: ":")), IPAddress(text) == nil {
            throw .refused(
                "\(quoted(text)) is neither a port nor an address with one", suggestion: "write it as 127.0.0.1:8080")
        }
        let (host, portText) = try split(text, exampleHost: "127.0.0.1", port: "8080")
        let number = try port(portText)
        if host == "*" { return .endpoint(Endpoint(host: nil, port: number)) }
        guard let address = IPAddress(host) else {
            throw .refused("\(quoted(host)) is not an address", suggestion: "write 127.0.0.1, [::1] or *")
        }
        return .endpoint(Endpoint(host: address.text, port: number))
    }

    /// `HOST:PORT` of an upstream's server; a name may hold `{namespace}` and `{tenant}`.
    static func server(_ text: String) throws(ValueFault) -> Value {
        let (host, portText) = try split(text, exampleHost: "app.internal", port: "80")
        let number = try port(portText)
        if let address = IPAddress(host) { return .server(host: address.text, port: number) }
        let name = HostName.normal(host)
        if let fault = Templates.fault(of: name) { throw fault }
        // A placeholder stands for a label or a part of one.
        if let fault = Hosts.nameFault(Templates.expand(name, namespace: "x", tenant: "x")) {
            throw .refused("\(quoted(host)) is not a host: \(fault)")
        }
        return .server(host: name, port: number)
    }

    /// Host without brackets, and what stands behind the last colon.
    /// - Parameters:
    ///   - exampleHost: shows the form where the host that is meant can't be told.
    ///   - port: shows it where there is none.
    private static func split(
        _ text: String, exampleHost: String, port examplePort: String
    ) throws(ValueFault) -> (host: String, port: String) {
        func meant(_ own: String?) -> String { "write it as \(own ?? "\(exampleHost):\(examplePort)")" }
        if let first = text.utf8.firstIndex(of: UInt8(ascii: ":")), text[first...].hasPrefix("://") {
            throw .refused("\(quoted(text)) is a URL", suggestion: meant(Habits.server(text)))
        }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), text.utf8.last != UInt8(ascii: "]") else {
            throw .refused("\(quoted(text)) has no port", suggestion: meant(Habits.withPort(text, examplePort)))
        }
        var host = text[..<colon]
        let port = String(text[colon...].dropFirst())
        if host.utf8.first == UInt8(ascii: "["), host.utf8.last == UInt8(ascii: "]"), host.utf8.count > 2 {
            host = host.dropFirst().dropLast()
            guard IPAddress(String(host))?.isIPv4 == false else {
                throw .refused("\(quoted(String(host))) is not an IPv6 address")
            }
        } else if host.utf8.contains(UInt8(ascii: ":")) {
            let own = IPAddress(String(host)) == nil ? Habits.withPort(text, examplePort) : "[\(host)]:\(port)"
            throw .refused("an IPv6 address stands in brackets", suggestion: meant(own ?? "[::1]:\(examplePort)"))
        }
        if host.isEmpty { throw .refused("\(quoted(text)) has no host", suggestion: meant(nil)) }
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
            throw .refused(
                "\(quoted(text)) is not an address or a block of them", suggestion: "write 10.0.0.0/8 or ::1")
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
            throw .refused(
                "\(quoted(text)) has bits behind its prefix", suggestion: blockHint(block, isIPv4: address.isIPv4))
        }
        return .block(block)
    }

    private static func blockHint(_ block: AddressBlock, isIPv4: Bool) -> String {
        let address = IPAddress(high: block.high, low: block.low, isIPv4: isIPv4)
        return "did you mean `\(address.text)/\(block.prefix - (isIPv4 ? 96 : 0))`?"
    }
}
