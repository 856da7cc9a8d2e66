import Base

/// The forms of a request target (RFC 9112 section 3.2). `base` is where the head stands, and `sent` a range of it that is not
/// empty.
extension RequestHead {
    @inline(__always)
    mutating func readTarget(_ base: UnsafeRawPointer, _ sent: ByteRange) throws(Flaw) {
        impliedTarget = nil
        if unsafe base.load(fromByteOffset: sent.first, as: UInt8.self) == 0x2F {
            unsafe setTarget(base, sent)
        } else {
            try unsafe readOtherForm(base, sent)
        }
    }

    @inline(__always)
    private mutating func setTarget(_ base: UnsafeRawPointer, _ range: ByteRange) {
        target = range
        path = unsafe ByteRange(range.first, WordScan.query(base, range.first, range.end))
    }

    private mutating func readOtherForm(_ base: UnsafeRawPointer, _ sent: ByteRange) throws(Flaw) {
        let bytes = unsafe UnsafeRawBufferPointer(start: base + sent.first, count: Int(sent.count))
        if bytes.count == 1, unsafe bytes[0] == 0x2A {
            guard method == .options else { throw .targetAsterisk }
            (target, path) = (sent, sent)
            return
        }
        let (authority, port): (Int, UInt64)
        if bytes.count > 7, unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: bytes[..<7]), "http://") {
            (authority, port) = (7, 80)
        } else if bytes.count > 8, unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: bytes[..<8]), "https://") {
            (authority, port) = (8, 443)
        } else {
            throw .targetForm
        }
        unsafe try readAbsoluteForm(base, sent, authority: sent.first + authority, port: port)
    }

    /// The RFC lets the target override Host; here both must name the same host, for an upstream may look at either.
    private mutating func readAbsoluteForm(
        _ base: UnsafeRawPointer, _ sent: ByteRange, authority: Int, port: UInt64
    ) throws(Flaw) {
        var at = authority
        while at < sent.end, unsafe base.load(fromByteOffset: at, as: UInt8.self) != 0x2F,
            unsafe base.load(fromByteOffset: at, as: UInt8.self) != 0x3F
        { at += 1 }
        let sentAuthority = ByteRange(authority, at)
        guard let named = unsafe try? Authority.host(base, sentAuthority),
            unsafe HostName.same(
                UnsafeRawBufferPointer(start: base + named.first, count: Int(named.count)),
                UnsafeRawBufferPointer(start: base + host.first, count: Int(host.count))),
            unsafe Authority.port(base, sentAuthority, behind: named, standard: port)
                == Authority.port(base, hostHeader, behind: host, standard: port)
        else { throw .targetAuthority }
        if at < sent.end, unsafe base.load(fromByteOffset: at, as: UInt8.self) == 0x2F {
            return unsafe setTarget(base, ByteRange(at, sent.end))
        }
        // No path: `/`, and there is one in front of the authority. What is asked of the server as a whole stays that.
        impliedTarget = at == sent.end && method == .options ? 0x2A : 0x2F
        (target, path) = (ByteRange(at, sent.end), ByteRange(authority - 1, authority))
    }
}

extension RequestHead {
    /// Whether these bytes, of a field's value in a head, could stand in `Host`.
    public static func isHost(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress, bytes.count <= hostLengthMax else { return false }
        return unsafe (try? Authority.host(base, ByteRange(0, bytes.count))) != nil
    }

    /// A name and a port (RFC 1035 section 2.3.4).
    private static var hostLengthMax: Int { 255 + 6 }
}
