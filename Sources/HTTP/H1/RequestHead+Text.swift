import Base

/// What of a request stands in texts and URLs that the gateway writes.
extension RequestHead {
    /// As it was received; `/` of a request about the server as a whole (`OPTIONS *`).
    public var pathOrRoot: UnsafeRawBufferPointer {
        let path = unsafe self[path]
        return unsafe path.count == 1 && path[0] == 0x2A ? Self.root : path
    }

    /// Without its `?`; empty where there is none.
    public var query: UnsafeRawBufferPointer {
        let target = unsafe self[target]
        guard let mark = unsafe target.firstIndex(of: 0x3F) else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeRawBufferPointer(rebasing: target[(mark + 1)...])
    }

    /// Text of the program.
    private static var root: UnsafeRawBufferPointer {
        let text: StaticString = "/"
        return unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }
}

extension ByteWriter {
    /// A part of a target, as it was received but for what no URI holds (RFC 3986 section 2): readers make different things of
    /// that, and a page takes it for its own text.
    /// - Parameter keepsQuotes: `'` stays, which a URI may hold, and which ends a value in a page.
    public mutating func append(uri bytes: UnsafeRawBufferPointer, keepsQuotes: Bool) {
        for i in 0..<bytes.count {
            let byte = unsafe bytes[i]
            switch byte {
            case 0x22, 0x3C, 0x3E, 0x5C, 0x5E, 0x60, 0x7B...0x7D, ...0x20, 0x7F...: append(escaped: byte)
            case 0x27 where !keepsQuotes: append(escaped: byte)
            default: append(byte: byte)
            }
        }
    }

    private mutating func append(escaped byte: UInt8) {
        append(byte: 0x25)
        append(byte: digit(byte >> 4))
        append(byte: digit(byte & 15))
    }

    private func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }

    /// A host as requests name it, which an IPv6 address does in brackets.
    public mutating func append(authority host: UnsafeRawBufferPointer) {
        let isLiteral = unsafe host.contains(0x3A)
        if isLiteral { append(byte: 0x5B) }
        unsafe append(host)
        if isLiteral { append(byte: 0x5D) }
    }
}
