import Testing

@testable import HTTP

@Suite("Field names")
struct FieldNameTests {
    private func classify(_ name: String) -> FieldName {
        Array(name.utf8).withUnsafeBytes { FieldName.classify($0) }
    }

    static let spelling: [(FieldName, String)] = [
        (.host, "Host"), (.connection, "Connection"), (.keepAlive, "Keep-Alive"), (.te, "TE"), (.trailer, "Trailer"),
        (.proxyConnection, "Proxy-Connection"), (.transferEncoding, "Transfer-Encoding"), (.upgrade, "Upgrade"),
        (.contentLength, "Content-Length"), (.expect, "Expect"), (.authorization, "Authorization"),
        (.proxyAuthorization, "Proxy-Authorization"), (.proxyAuthenticate, "Proxy-Authenticate"),
        (.xAPIKey, "X-API-Key"), (.forwarded, "Forwarded"), (.xForwardedFor, "X-Forwarded-For"),
        (.xForwardedProto, "X-Forwarded-Proto"), (.xForwardedHost, "X-Forwarded-Host"),
        (.xForwardedPort, "X-Forwarded-Port"), (.xForwardedOther, "X-Forwarded-Prefix"), (.xRealIP, "X-Real-IP"),
        (.via, "Via"), (.via, "X-Gateway-Via"), (.xRequestID, "X-Request-Id"), (.traceparent, "traceparent"), (.tracestate, "tracestate"),
        (.xTenant, "X-Tenant-Id"), (.proxy, "Proxy"), (.date, "Date"), (.server, "Server"), (.origin, "Origin"), (.accept, "Accept"),
        (.acceptEncoding, "Accept-Encoding"), (.acceptLanguage, "Accept-Language"), (.userAgent, "User-Agent"),
        (.cookie, "Cookie"), (.setCookie, "Set-Cookie"), (.referer, "Referer"), (.contentType, "Content-Type"),
        (.cacheControl, "Cache-Control"), (.wwwAuthenticate, "WWW-Authenticate"), (.ambiguousFraming, "Content_Length"),
        (.foldedForwarding, "X_Forwarded_For"),
    ] + overrides.map { (.override, $0) } + schemes.map { (.forwardedScheme, $0) }

    static let schemes = ["X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Protocol", "Front-End-Https", "X-Scheme", "X-Url-Scheme"]

    static let overrides = [
        "X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
        "X-Original-Host", "X-Host", "True-Client-IP", "Client-IP", "X-Client-IP", "X-Cluster-Client-IP",
        "X-Remote-IP", "X-Remote-Addr", "CF-Connecting-IP", "CF-Connecting-IPv6", "Fastly-Client-IP", "Fly-Client-IP",
        "Proxy-Client-IP", "WL-Proxy-Client-IP", "X-ProxyUser-Ip", "X-Azure-ClientIP", "X-Azure-SocketIP",
        "X-Appengine-User-IP", "X-Envoy-External-Address", "X-Envoy-Original-Path", "X-HTTP-Host-Override",
        "X-Original-Method", "X-Original-For", "X-Original-Forwarded-For", "X-Forwarded", "Forwarded-For", "Forwarded-Proto",
    ]

    @Test("every known name is told from every name one byte away, in any case")
    func known() {
        for (id, name) in Self.spelling {
            #expect(classify(name) == id, "\(name)")
            #expect(classify(name.lowercased()) == id, "\(name)")
            #expect(classify(name.uppercased()) == id, "\(name)")
            if [.xTenant, .xForwardedOther, .ambiguousFraming, .foldedForwarding].contains(id) { continue }
            let bytes = Array(name.utf8)
            #expect(classify(name + "x") != id && classify("x" + name) != id && classify(String(name.dropLast())) != id)
            for i in bytes.indices {
                for byte in UInt8.min...UInt8.max where byte != bytes[i] && byte ^ 0x20 != bytes[i] {
                    var other = bytes
                    other[i] = byte
                    let found = other.withUnsafeBytes { FieldName.classify($0) }
                    let changed = String(decoding: other, as: UTF8.self).lowercased()
                    if Self.overrides.contains(where: { $0.lowercased() == changed }) { continue }
                    // The folded spellings of some names are the same name.
                    if found == id {
                        #expect(bytes[i] == 0x2D && FieldSet.folded.contains(id), "\(name) \(i) \(byte)")
                    }
                }
            }
        }
        #expect(Set(Self.spelling.map(\.0)).union([.other]) == Set(FieldName.allCases))
    }

    @Test(
        "names that the gateway writes are known in their folded spellings too",
        arguments: [
            ("X_Forwarded_For", FieldName.foldedForwarding), ("x_tenant_id", .foldedForwarding), ("X_Real_IP", .foldedForwarding),
            ("X_Request_Id", .foldedForwarding), ("X_API_Key", .xAPIKey), ("X-Forwarded_Proto", .foldedForwarding),
            ("X.Forwarded.Host", .foldedForwarding), ("X_Original_URL", .override), ("X_Forwarded_Ssl", .foldedForwarding),
            ("True_Client_IP", .override), ("x_http_method_override", .override), ("x_forwarded_server", .foldedForwarding),
            ("X-Tenant_", .foldedForwarding), ("x_tenant_a_very_long_name_that_goes_on_and_on_and_on", .foldedForwarding),
            ("X~Tenant-Id", .foldedForwarding), ("front_end_https", .foldedForwarding), ("x_scheme", .foldedForwarding),
        ])
    func folded(_ name: String, _ id: FieldName) { #expect(classify(name) == id) }

    @Test(
        "names that fold into framing are ambiguous",
        arguments: [
            "Content_Length", "content.length", "Transfer_Encoding", "TRANSFER_ENCODING", "Host_", "_Host",
            "Transfer-Encoding_",
            "_content-length",
        ])
    func ambiguous(_ name: String) { #expect(classify(name) == .ambiguousFraming) }

    @Test(
        "other names are other",
        arguments: [
            "", "X", "X-Tenant", "X-Tenants-Id", "XTenant-Id", "X-Forwardedx", "Hosts",
            "Content-Lengths", "_",
            "__", "Accept_Encoding", "Host_Name", "Via_", "X-Content-Length", "authorization_",
        ])
    func other(_ name: String) { #expect(classify(name) == .other) }

    @Test("the hop-by-hop names are those of RFC 9110 section 7.6.1")
    func hopByHop() {
        let expected: Set<FieldName> = [
            .connection, .keepAlive, .proxyConnection, .te, .trailer, .transferEncoding, .upgrade,
        ]
        #expect(Set(FieldName.allCases.filter(\.isHopByHop)) == expected)
    }
}

@Suite("Methods")
struct MethodTests {
    @Test(
        "methods are case-sensitive tokens",
        arguments: [
            ("GET", HTTP.Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
            ("CONNECT", .connect), ("OPTIONS", .options), ("TRACE", .trace), ("PATCH", .patch), ("get", .other),
            ("GETS", .other),
            ("PROPFIND", .other),
        ])
    func names(_ name: String, _ method: HTTP.Method) {
        #expect(Array(name.utf8).withUnsafeBytes { HTTP.Method($0) } == method)
    }

    @Test("safe and idempotent as in RFC 9110 section 9.2")
    func properties() {
        let safe: [HTTP.Method] = [.get, .head, .options, .trace]
        for method in safe { #expect(method.isSafe && method.isIdempotent) }
        for method in [HTTP.Method.put, .delete] { #expect(!method.isSafe && method.isIdempotent) }
        for method in [HTTP.Method.post, .patch, .connect, .other] { #expect(!method.isSafe && !method.isIdempotent) }
    }
}
