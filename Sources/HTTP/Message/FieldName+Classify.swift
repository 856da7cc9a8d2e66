import Base

extension FieldName {
    /// The known name that these bytes spell, in either case; `other` when there is none.
    ///
    /// Upstream frameworks fold punctuation (`X_Forwarded_For` becomes the variable of `X-Forwarded-For`), so in the
    /// names that the gateway writes or trusts every byte that is no letter and no digit counts as a hyphen, and a name
    /// that is folded into a framing field is `ambiguousFraming`.
    public static func classify(_ name: UnsafeRawBufferPointer) -> FieldName {
        guard let base = name.baseAddress, name.count > 0 else { return .other }
        let known = known(base, name.count)
        if known != .other { return known }
        for byte in name where !isPlain(byte) { return folded(name) }
        return .other
    }

    /// A letter, a digit or a hyphen: what nearly all names consist of, and what no reader folds.
    @inline(__always)
    static func isPlain(_ byte: UInt8) -> Bool { ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2D }

    /// By length first, then by words of eight bytes: a handful of instructions for each candidate of that length.
    @inline(__always)
    static func known(_ p: UnsafeRawPointer, _ count: Int) -> FieldName {
        switch count {
        case 2: if spells(p, "te") { return .te }
        case 3: if spells(p, "via") { return .via }
        case 4:
            if spells(p, "host") { return .host }
            if spells(p, "date") { return .date }
        case 6:
            if spells(p, "accept") { return .accept }
            if spells(p, "cookie") { return .cookie }
            if spells(p, "origin") { return .origin }
            if spells(p, "server") { return .server }
            if spells(p, "expect") { return .expect }
        case 7:
            if spells(p, "referer") { return .referer }
            if spells(p, "upgrade") { return .upgrade }
            if spells(p, "trailer") { return .trailer }
        case 9:
            if spells(p, "x-api-key") { return .xAPIKey }
            if spells(p, "x-real-ip") { return .xRealIP }
            if spells(p, "forwarded") { return .forwarded }
        case 10:
            if spells(p, "user-agent") { return .userAgent }
            if spells(p, "connection") { return .connection }
            if spells(p, "set-cookie") { return .setCookie }
            if spells(p, "tracestate") { return .tracestate }
            if spells(p, "keep-alive") { return .keepAlive }
        case 11: if spells(p, "traceparent") { return .traceparent }
        case 12:
            if spells(p, "content-type") { return .contentType }
            if spells(p, "x-request-id") { return .xRequestID }
        case 13:
            if spells(p, "authorization") { return .authorization }
            if spells(p, "cache-control") { return .cacheControl }
        case 14: if spells(p, "content-length") { return .contentLength }
        case 15:
            if spells(p, "accept-encoding") { return .acceptEncoding }
            if spells(p, "accept-language") { return .acceptLanguage }
            if spells(p, "x-forwarded-for") { return .xForwardedFor }
        case 16:
            if spells(p, "x-forwarded-host") { return .xForwardedHost }
            if spells(p, "x-forwarded-port") { return .xForwardedPort }
            if spells(p, "proxy-connection") { return .proxyConnection }
            if spells(p, "www-authenticate") { return .wwwAuthenticate }
        case 17:
            if spells(p, "transfer-encoding") { return .transferEncoding }
            if spells(p, "x-forwarded-proto") { return .xForwardedProto }
        case 18: if spells(p, "proxy-authenticate") { return .proxyAuthenticate }
        case 19: if spells(p, "proxy-authorization") { return .proxyAuthorization }
        default: break
        }
        if count >= 9, spells(p, "x-tenant-") { return .xTenant }
        if count >= 12, spells(p, "x-forwarded-") { return .xForwardedOther }
        return .other
    }

    /// The meaning of a name with punctuation in it, once that is folded.
    static func folded(_ name: UnsafeRawBufferPointer) -> FieldName {
        // Longer than every known name; what matters in a longer one is its prefix.
        var room: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        return withUnsafeMutableBytes(of: &room) { room in
            let count = min(name.count, room.count)
            for i in 0..<count { room[i] = isPlain(name[i]) ? name[i] : 0x2D }
            var (first, end) = (0, count)
            while first < end, room[first] == 0x2D { first += 1 }
            while end > first, room[end - 1] == 0x2D { end -= 1 }
            guard first < end, let base = room.baseAddress else { return .other }
            let trimmed = known(UnsafeRawPointer(base + first), end - first)
            if FieldSet.framing.contains(trimmed) { return .ambiguousFraming }
            let known = known(UnsafeRawPointer(base), count)
            return FieldSet.trusted.contains(known) ? known : .other
        }
    }

    /// Whether the bytes at `p`, at least as many as `name` has, spell the lower-case `name` in either case.
    @inline(__always)
    static func spells(_ p: UnsafeRawPointer, _ name: StaticString) -> Bool {
        let q = UnsafeRawPointer(name.utf8Start)
        let n = name.utf8CodeUnitCount
        if n >= 8 {
            if differs(p, q, 0, UInt64.self) { return false }
            if n > 16, differs(p, q, 8, UInt64.self) { return false }
            return n == 8 || !differs(p, q, n - 8, UInt64.self)
        }
        if n >= 4 {
            if differs(p, q, 0, UInt32.self) { return false }
            return n == 4 || !differs(p, q, n - 4, UInt32.self)
        }
        for i in 0..<n where differs(p, q, i, UInt8.self) { return false }
        return true
    }

    /// Bit 5 is what tells `a` from `A`. It is set only where `q` has a letter (bit 6), for it also tells `-` from CR.
    @inline(__always)
    private static func differs<W: FixedWidthInteger & BitwiseCopyable>(
        _ p: UnsafeRawPointer, _ q: UnsafeRawPointer, _ at: Int, _ word: W.Type
    ) -> Bool {
        let expected = (q + at).loadUnaligned(as: W.self)
        let bit5 = (expected & W(truncatingIfNeeded: 0x4040_4040_4040_4040 as UInt64)) &>> 1
        return (p + at).loadUnaligned(as: W.self) | bit5 != expected
    }
}
