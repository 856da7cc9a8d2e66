import Base

/// What people write who know other gateways, and what to write instead.
enum Habits {
    /// By a directive's name elsewhere.
    static let directives = [
        "location": "write `route /PATH { ... }` in a tenant",
        "server_name": "write `host NAME;` in a tenant",
        "proxy_pass": "write `upstream NAME;` in a tenant, and `upstream NAME { server HOST:PORT; }` at the top level",
        "backend": "write `upstream NAME { server HOST:PORT; }`",
        "frontend": "write `listen ADDRESS:PORT;`",
        "bind": "write `listen ADDRESS:PORT;`",
        "ssl_certificate": "write `listen ADDRESS:PORT tls { certificate CHAIN KEY; }`",
        "ssl_certificate_key": "write `listen ADDRESS:PORT tls { certificate CHAIN KEY; }`",
        "client_max_body_size": "write `max_body SIZE;`",
        "limit_req": "write `rate COUNT/s burst=COUNT;`",
        "worker_processes": "write `workers COUNT;`",
        "proxy_read_timeout": "write `response_timeout TIME;` in an upstream",
        "proxy_connect_timeout": "write `connect_timeout TIME;` in an upstream",
        "proxy_set_header": "write `request_header NAME VALUE;`",
        "add_header": "write `response_header NAME VALUE;`",
    ]

    /// `HOST:PORT` where a URL, or just that, was written in the place of a name; nil for anything else.
    static func server(_ text: String) -> String? {
        if let scheme = scheme(of: text) {
            let rest = text.dropFirst(scheme.count + 3).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
            return rest.isEmpty ? nil : withPort(String(rest), scheme == "https" ? "443" : "80")
        }
        return isServer(text) ? text : nil
    }

    /// A host or an address with that port, unless it has one; nil where it is neither.
    static func withPort(_ text: String, _ port: String) -> String? {
        if IPAddress(text)?.isIPv4 == false { return "[\(text)]:\(port)" }
        return [text, "\(text):\(port)"].first(where: isServer)
    }

    /// `HOST:PORT`, without a word about what else it might be.
    private static func isServer(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":"), case let port = text[colon...].dropFirst(),
            port.utf8.allSatisfy(ASCII.isDigit),
            (UInt16(port) ?? 0) > 0
        else { return false }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            return IPAddress(String(host.dropFirst().dropLast()))?.isIPv4 == false
        }
        return IPAddress(String(host))?.isIPv4 == true || Hosts.nameFault(String(host)) == nil
    }

    private static func scheme(of text: String) -> String? {
        ["http", "https"].first { text.hasPrefix($0 + "://") }
    }
}
