import Base

/// Fields that requests and answers are changed by.
enum HeaderFields {
    /// Bytes of a value. A head must stay within what servers take, and the gateway adds fields of its own.
    static let valueMax = 4096

    /// Fields that frame a message, belong to one connection, or are the gateway's own word to the upstream.
    private static let reserved: Set<String> = [
        "connection", "transfer-encoding", "content-length", "host", "upgrade", "te", "trailer", "keep-alive",
        "proxy-connection",
    ]

    /// Fields by which a proxy in front tells applications of another target, method, host, scheme or client than the
    /// request's own, lower case: from other clients they are taken away.
    static let overrides = [
        "x-original-url", "x-original-uri", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override",
        "x-original-method", "x-original-host", "x-host", "x-http-host-override", "x-envoy-original-path", "true-client-ip",
        "client-ip", "x-client-ip", "x-cluster-client-ip", "x-remote-ip", "x-remote-addr", "cf-connecting-ip",
        "cf-connecting-ipv6", "fastly-client-ip", "fly-client-ip", "proxy-client-ip", "wl-proxy-client-ip", "x-proxyuser-ip",
        "x-azure-clientip", "x-azure-socketip", "x-appengine-user-ip", "x-envoy-external-address", "forwarded-for",
        "x-forwarded", "x-original-for", "x-original-forwarded-for", "forwarded-proto", "front-end-https", "x-scheme",
        "x-url-scheme",
    ]

    /// For help texts: a few a line.
    static var overridesInLines: [String] {
        stride(from: 0, to: overrides.count, by: 6).map { overrides[$0..<min($0 + 6, overrides.count)].joined(separator: " ") }
    }

    /// One of `overrides`, in lower case.
    static func override(_ text: String) throws(ValueFault) -> Value {
        let name = text.asciiLowercased
        if overrides.contains(name) { return .text(name) }
        throw .refused(
            "\(quoted(text)) is not among the fields that may pass",
            suggestion: Suggester().suggestion(for: name, among: overrides) ?? "`gateway directives pass_fields` names them")
    }

    static func token(_ text: String) throws(ValueFault) -> Value {
        guard !text.isEmpty, text.utf8.count <= 256, text.utf8.allSatisfy(ASCII.isToken) else {
            throw .refused("\(quoted(text)) is not a name of a field or a cookie")
        }
        return .text(text)
    }

    static func name(_ text: String) throws(ValueFault) -> Value {
        guard !text.isEmpty, text.utf8.count <= 256, text.utf8.allSatisfy(ASCII.isToken) else {
            throw .refused("\(quoted(text)) is not a header name")
        }
        let folded = folded(text)
        if reserved.contains(folded) || folded.hasPrefix("x-tenant-") {
            throw .refused("\(quoted(text)) is set by the gateway itself")
        }
        return .text(text)
    }

    /// One that says of a request what its client wants to say: those of the gateway's are written when its route is found.
    static func ofClients(_ text: String) throws(ValueFault) {
        _ = try token(text)
        if folded(text).hasPrefix("x-tenant-") {
            throw .refused(
                "\(quoted(text)) is what the gateway tells upstreams: in a request it is whatever its client likes",
                suggestion: "`require` asks for roles and scopes")
        }
    }

    /// Many servers take `_` for `-`.
    private static func folded(_ name: String) -> String {
        let dashed = name.utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : ASCII.lowercase($0) }
        return String(decoding: dashed, as: UTF8.self)
    }

    static func value(_ text: String) throws(ValueFault) -> Value {
        if text.utf8.count > valueMax { throw .refused("a header value longer than \(valueMax) bytes") }
        if text.utf8.contains(where: Texts.isControl) { throw .refused("a control character in a header value") }
        if text.utf8.first == ASCII.space || text.utf8.last == ASCII.space {
            throw .refused("a header value can't begin or end with a space")
        }
        return .text(text)
    }
}
