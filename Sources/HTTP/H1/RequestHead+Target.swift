import Base

/// The forms of a request target (RFC 9112 section 3.2). `base` is where the head stands, and `sent` a range of it that is not
/// empty.
extension RequestHead {
    @inline(__always)
    mutating func readTarget(_ base: UnsafeRawPointer, _ sent: ByteRange) throws(Flaw) {
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
        let authority: Int
        if bytes.count > 7, unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: bytes[..<7]), "http://") {
            authority = 7
        } else if bytes.count > 8,
            unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: bytes[..<8]), "https://")
        {
            authority = 8
        } else {
            throw .targetForm
        }
        try unsafe readAbsoluteForm(base, sent, authority: sent.first + authority)
    }

    /// The RFC lets the target override Host; here both must name the same host, for an upstream may look at either.
    private mutating func readAbsoluteForm(
        _ base: UnsafeRawPointer, _ sent: ByteRange, authority: Int
    ) throws(Flaw) {
        var at = authority
        while at < sent.end, unsafe base.load(fromByteOffset: at, as: UInt8.self) != 0x2F,
            unsafe base.load(fromByteOffset: at, as: UInt8.self) != 0x3F
        { at += 1 }
        let named = unsafe UnsafeRawBufferPointer(start: base + authority, count: at - authority)
        let host = unsafe UnsafeRawBufferPointer(start: base + hostHeader.first, count: Int(hostHeader.count))
        guard unsafe named.equalsIgnoringCase(host) else { throw .targetAuthority }
        if at == sent.end {
            // No path: `/`, and there is one in front of the authority.
            unsafe setTarget(base, ByteRange(authority - 1, authority))
        } else if unsafe base.load(fromByteOffset: at, as: UInt8.self) == 0x2F {
            unsafe setTarget(base, ByteRange(at, sent.end))
        } else {
            throw .targetQueryWithoutPath
        }
    }
}
