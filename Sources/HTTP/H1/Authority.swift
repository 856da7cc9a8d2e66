import Base

/// `host [ ":" port ]` of a Host field or an absolute target (RFC 9110 section 7.2, RFC 3986 section 3.2), without what
/// could be read two ways: no user information, no percent-encoding, no empty label.
///
/// `base` is where the head stands, and every range lies in it: no byte is read that is not compared with the range's end first.
enum Authority {
    /// The host in `range`, behind a start line: without the port, and without the brackets of an IPv6 address.
    @inline(__always)
    static func host(_ base: UnsafeRawPointer, _ range: ByteRange) throws(Flaw) -> ByteRange {
        let start = range.first
        let end = range.end
        guard start < end else { throw .hostSyntax }
        if unsafe base.load(fromByteOffset: start, as: UInt8.self) == 0x5B {
            return try unsafe literal(base, start, end)
        }
        let at = unsafe WordScan.hostEnd(base, start, end)
        guard at > start else { throw .hostSyntax }
        if at < end { try unsafe port(base, at, end) }
        return ByteRange(start, at)
    }

    /// `:` and no digits, or one to five up to 65535 (RFC 3986 section 3.2.3).
    private static func port(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) throws(Flaw) {
        guard unsafe base.load(fromByteOffset: at, as: UInt8.self) == 0x3A, end &- at <= 6 else { throw .hostSyntax }
        if end &- at == 1 { return }
        guard let port = unsafe ASCII.decimal(UnsafeRawBufferPointer(start: base + at + 1, count: end &- at &- 1)), port <= 65535
        else { throw .hostSyntax }
    }

    /// The port in `range`, an authority whose host is `host`; `standard` where it names none.
    static func port(_ base: UnsafeRawPointer, _ range: ByteRange, behind host: ByteRange, standard: UInt64) -> UInt64 {
        var at = host.end
        while at < range.end, unsafe base.load(fromByteOffset: at, as: UInt8.self) != 0x3A { at &+= 1 }
        guard at &+ 1 < range.end else { return standard }
        return unsafe ASCII.decimal(UnsafeRawBufferPointer(start: base + at + 1, count: range.end &- at &- 1)) ?? standard
    }

    /// `[` IPv6address `]`.
    private static func literal(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) throws(Flaw) -> ByteRange {
        var close = start &+ 1
        while close < end, unsafe base.load(fromByteOffset: close, as: UInt8.self) != 0x5D { close &+= 1 }
        guard close < end, unsafe isIPv6(UnsafeRawBufferPointer(start: base + start + 1, count: close &- start &- 1))
        else {
            throw .hostSyntax
        }
        if close &+ 1 < end { try unsafe port(base, close &+ 1, end) }
        return ByteRange(start &+ 1, close)
    }

    /// RFC 3986 section 3.2.2: eight groups of one to four hexadecimal digits, at most one run of them written `::`,
    /// the last two possibly as an IPv4 address.
    private static func isIPv6(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var groups = 0
        var compressed = false
        var at = 0
        if bytes.count >= 2, unsafe bytes[0] == 0x3A {
            guard unsafe bytes[1] == 0x3A else { return false }
            compressed = true
            at = 2
        }
        while at < bytes.count {
            let first = at
            while at < bytes.count, at - first < 5, unsafe ASCII.hexValue(bytes[at]) != nil { at += 1 }
            if at < bytes.count, unsafe bytes[at] == 0x2E {
                guard unsafe isIPv4(UnsafeRawBufferPointer(rebasing: bytes[first...])) else { return false }
                groups += 2
                at = bytes.count
                break
            }
            guard at > first, at - first <= 4 else { return false }
            groups += 1
            guard at < bytes.count else { break }
            guard unsafe bytes[at] == 0x3A, at + 1 < bytes.count else { return false }
            at += 1
            if unsafe bytes[at] == 0x3A {
                guard !compressed else { return false }
                compressed = true
                at += 1
            }
        }
        return compressed ? groups <= 7 : groups == 8
    }

    private static func isIPv4(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var parts = 0
        var at = 0
        while at < bytes.count {
            let first = at
            while at < bytes.count, at - first < 4, unsafe ASCII.isDigit(bytes[at]) { at += 1 }
            let digits = unsafe UnsafeRawBufferPointer(rebasing: bytes[first..<at])
            guard let part = unsafe ASCII.decimal(digits), part <= 255, unsafe digits.count == 1 || digits[0] != 0x30
            else {
                return false
            }
            parts += 1
            guard at < bytes.count else { break }
            guard unsafe bytes[at] == 0x2E, at + 1 < bytes.count else { return false }
            at += 1
        }
        return parts == 4
    }
}
