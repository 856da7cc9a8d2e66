import Base

extension FieldName {
    /// The known name that these bytes spell, in either case; `other` when there is none.
    ///
    /// Upstream frameworks fold punctuation (`X_Forwarded_For` becomes the variable of `X-Forwarded-For`), so in the
    /// names that the gateway writes or trusts every byte that is no letter and no digit counts as a hyphen, and a name
    /// that is folded into a framing field is `ambiguousFraming`.
    public static func classify(_ name: UnsafeRawBufferPointer) -> FieldName {
        guard let base = name.baseAddress, name.count > 0 else { return .other }
        let known = unsafe known(base, name.count)
        if known != .other { return known }
        return unsafe name.allSatisfy(isPlain) ? .other : folded(name)
    }

    /// A letter, a digit or a hyphen: what nearly all names consist of, and what no reader folds.
    @inline(__always)
    static func isPlain(_ byte: UInt8) -> Bool { ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2D }

    /// By length first, then by words of eight bytes: a handful of instructions for each candidate of that length.
    @inline(__always)
    static func known(_ p: UnsafeRawPointer, _ count: Int) -> FieldName {
        let name = unsafe NameBytes(p, count)
        switch count {
        case 2: if name.begins(with: "te") { return .te }
        case 3: if name.begins(with: "via") { return .via }
        case 4:
            if name.begins(with: "host") { return .host }
            if name.begins(with: "date") { return .date }
        case 5: if name.begins(with: "proxy") { return .proxy }
        case 6:
            if name.begins(with: "accept") { return .accept }
            if name.begins(with: "cookie") { return .cookie }
            if name.begins(with: "origin") { return .origin }
            if name.begins(with: "server") { return .server }
            if name.begins(with: "expect") { return .expect }
            if name.begins(with: "x-host") { return .override }
        case 7:
            if name.begins(with: "referer") { return .referer }
            if name.begins(with: "upgrade") { return .upgrade }
            if name.begins(with: "trailer") { return .trailer }
        case 8:
            if name.begins(with: "x-scheme") { return .forwardedScheme }
        case 9:
            if name.begins(with: "x-api-key") { return .xAPIKey }
            if name.begins(with: "x-real-ip") { return .xRealIP }
            if name.begins(with: "forwarded") { return .forwarded }
            if name.begins(with: "client-ip") { return .override }
        case 10:
            if name.begins(with: "user-agent") { return .userAgent }
            if name.begins(with: "connection") { return .connection }
            if name.begins(with: "set-cookie") { return .setCookie }
            if name.begins(with: "tracestate") { return .tracestate }
            if name.begins(with: "keep-alive") { return .keepAlive }
        case 11:
            if name.begins(with: "x-forwarded") { return .override }
            if name.begins(with: "traceparent") { return .traceparent }
            if name.begins(with: "x-client-ip") { return .override }
            if name.begins(with: "x-remote-ip") { return .override }
        case 12:
            if name.begins(with: "x-url-scheme") { return .forwardedScheme }
            if name.begins(with: "content-type") { return .contentType }
            if name.begins(with: "x-request-id") { return .xRequestID }
        case 13:
            if name.begins(with: "forwarded-for") { return .override }
            if name.begins(with: "fly-client-ip") { return .override }
            if name.begins(with: "authorization") { return .authorization }
            if name.begins(with: "cache-control") { return .cacheControl }
            if name.begins(with: "x-gateway-via") { return .via }
            if name.begins(with: "x-rewrite-url") { return .override }
            if name.begins(with: "x-http-method") { return .override }
            if name.begins(with: "x-remote-addr") { return .override }
        case 14:
            if name.begins(with: "x-original-for") { return .override }
            if name.begins(with: "x-proxyuser-ip") { return .override }
            if name.begins(with: "content-length") { return .contentLength }
            if name.begins(with: "x-original-url") { return .override }
            if name.begins(with: "x-original-uri") { return .override }
            if name.begins(with: "true-client-ip") { return .override }
        case 15:
            if name.begins(with: "x-forwarded-ssl") { return .forwardedScheme }
            if name.begins(with: "front-end-https") { return .forwardedScheme }
            if name.begins(with: "forwarded-proto") { return .override }
            if name.begins(with: "proxy-client-ip") { return .override }
            if name.begins(with: "accept-encoding") { return .acceptEncoding }
            if name.begins(with: "accept-language") { return .acceptLanguage }
            if name.begins(with: "x-forwarded-for") { return .xForwardedFor }
            if name.begins(with: "x-original-host") { return .override }
        case 16:
            if name.begins(with: "x-azure-clientip") { return .override }
            if name.begins(with: "x-azure-socketip") { return .override }
            if name.begins(with: "x-forwarded-host") { return .xForwardedHost }
            if name.begins(with: "x-forwarded-port") { return .xForwardedPort }
            if name.begins(with: "proxy-connection") { return .proxyConnection }
            if name.begins(with: "www-authenticate") { return .wwwAuthenticate }
            if name.begins(with: "cf-connecting-ip") { return .override }
            if name.begins(with: "fastly-client-ip") { return .override }
        case 17:
            if name.begins(with: "x-original-method") { return .override }
            if name.begins(with: "transfer-encoding") { return .transferEncoding }
            if name.begins(with: "x-forwarded-proto") { return .xForwardedProto }
            if name.begins(with: "x-method-override") { return .override }
        case 18:
            if name.begins(with: "x-forwarded-scheme") { return .forwardedScheme }
            if name.begins(with: "wl-proxy-client-ip") { return .override }
            if name.begins(with: "proxy-authenticate") { return .proxyAuthenticate }
            if name.begins(with: "cf-connecting-ipv6") { return .override }
        case 19:
            if name.begins(with: "x-appengine-user-ip") { return .override }
            if name.begins(with: "proxy-authorization") { return .proxyAuthorization }
            if name.begins(with: "x-cluster-client-ip") { return .override }
        case 20:
            if name.begins(with: "x-forwarded-protocol") { return .forwardedScheme }
            if name.begins(with: "x-http-host-override") { return .override }
        case 21:
            if name.begins(with: "x-envoy-original-path") { return .override }
        case 22: if name.begins(with: "x-http-method-override") { return .override }
        case 24:
            if name.begins(with: "x-envoy-external-address") { return .override }
            if name.begins(with: "x-original-forwarded-for") { return .override }
        default: break
        }
        if name.begins(with: "x-tenant-") { return .xTenant }
        if name.begins(with: "x-forwarded-") { return .xForwardedOther }
        return .other
    }

    /// The meaning of a name with punctuation in it, once that is folded.
    static func folded(_ name: UnsafeRawBufferPointer) -> FieldName {
        // Longer than every known name; what matters in a longer one is its prefix.
        var room: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        // Nothing is written beyond the four words, nor read beyond the name.
        return unsafe withUnsafeMutableBytes(of: &room) { room in
            let count = min(name.count, room.count)
            for i in 0..<count { unsafe room[i] = isPlain(name[i]) ? name[i] : 0x2D }
            var (first, end) = (0, count)
            while first < end, unsafe room[first] == 0x2D { first += 1 }
            while end > first, unsafe room[end - 1] == 0x2D { end -= 1 }
            guard first < end, let base = room.baseAddress else { return .other }
            let trimmed = unsafe known(UnsafeRawPointer(base + first), end - first)
            if FieldSet.framing.contains(trimmed) { return .ambiguousFraming }
            let known = unsafe known(UnsafeRawPointer(base), count)
            if FieldSet.forwarding.contains(known) { return .foldedForwarding }
            return FieldSet.folded.contains(known) ? known : .other
        }
    }
}

/// The bytes of a name or an option, to be compared with known ones. Lives no longer than they do.
@safe struct NameBytes {
    private let start: UnsafeRawPointer
    let count: Int

    @inline(__always)
    init(_ start: UnsafeRawPointer, _ count: Int) { unsafe (self.start, self.count) = (start, count) }

    /// Whether they begin with the lower-case `name`, in either case.
    @inline(__always)
    func begins(with name: StaticString) -> Bool {
        let n = name.utf8CodeUnitCount
        guard n <= count else { return false }
        // From here on no more than `n` bytes of either are read.
        let other = unsafe UnsafeRawPointer(name.utf8Start)
        if n >= 8 {
            if unsafe differs(other, 0, UInt64.self) { return false }
            if n > 16, unsafe differs(other, 8, UInt64.self) { return false }
            return unsafe n == 8 || !differs(other, n - 8, UInt64.self)
        }
        if n >= 4 {
            if unsafe differs(other, 0, UInt32.self) { return false }
            return unsafe n == 4 || !differs(other, n - 4, UInt32.self)
        }
        for i in 0..<n where unsafe differs(other, i, UInt8.self) { return false }
        return true
    }

    /// Bit 5 is what tells `a` from `A`. It is set only where `other` has a letter (bit 6), for it also tells `-` from CR.
    @inline(__always)
    private func differs<W: FixedWidthInteger & BitwiseCopyable>(_ other: UnsafeRawPointer, _ at: Int, _ word: W.Type)
        -> Bool
    {
        let expected = unsafe (other + at).loadUnaligned(as: W.self)
        let bit5 = (expected & W(truncatingIfNeeded: 0x4040_4040_4040_4040 as UInt64)) &>> 1
        return unsafe (start + at).loadUnaligned(as: W.self) | bit5 != expected
    }
}
