import Base

/// The nine bytes in front of each frame (RFC 9113 section 4.1).
struct H2Frame: Equatable {
    static let headerSize = 9
    /// SETTINGS_MAX_FRAME_SIZE until somebody says otherwise, and what we say.
    static let sizeMax = 16384

    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
        /// RFC 9218 section 7.1.
        case priorityUpdate = 0x10
    }

    struct Flags: OptionSet {
        let rawValue: UInt8
        static let endStream = Flags(rawValue: 0x1)
        /// Of SETTINGS and PING.
        static let ack = Flags(rawValue: 0x1)
        static let endHeaders = Flags(rawValue: 0x4)
        static let padded = Flags(rawValue: 0x8)
        static let priority = Flags(rawValue: 0x20)
    }

    /// Of the payload.
    var length: Int
    /// Nil for a type that nobody here knows: it is ignored (section 4.1).
    var kind: Kind?
    var flags: Flags
    var stream: UInt32

    init(_ kind: Kind, _ flags: Flags = [], stream: UInt32 = 0, length: Int) {
        (self.kind, self.flags, self.stream, self.length) = (kind, flags, stream, length)
    }

    /// - Precondition: nine bytes are there.
    init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count >= Self.headerSize)
        length = unsafe Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2])
        kind = unsafe Kind(rawValue: bytes[3])
        flags = unsafe Flags(rawValue: bytes[4])
        // The first bit is reserved, and ignored.
        stream = unsafe bytes.word(at: 5) & 0x7FFF_FFFF
    }
}

extension UnsafeRawBufferPointer {
    /// Four bytes, most significant first.
    /// - Precondition: they are there.
    func word(at start: Int) -> UInt32 {
        precondition(start >= 0 && count - start >= 4)
        return unsafe UInt32(bigEndian: loadUnaligned(fromByteOffset: start, as: UInt32.self))
    }
}
