extension ByteWriter {
    /// A JSON string (RFC 8259 section 7), quotes included. Quotes, backslashes and control characters (DEL and U+0080 to
    /// U+009F too: a terminal obeys them) are escaped, and what is not UTF-8 becomes U+FFFD, so that the text is valid
    /// whatever a stranger sent.
    public mutating func append(jsonString bytes: UnsafeRawBufferPointer) {
        append(byte: 0x22)
        append(jsonText: bytes)
        append(byte: 0x22)
    }

    /// The same without quotes.
    public mutating func append(jsonText bytes: UnsafeRawBufferPointer) {
        var at = 0
        while true {
            at = appendPlain(bytes, from: at)
            if at == bytes.count || overflowed { return }
            at = appendEscaped(bytes, at: at)
        }
    }

    /// Copies eight bytes at a time and looks at them on the way, until one that cannot stand in a JSON string as it is;
    /// returns its place.
    private mutating func appendPlain(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        guard let source = bytes.baseAddress else { return bytes.count }
        let target = base + count
        let end = min(bytes.count, start + capacity - count)
        var at = start
        while end - at >= 8 {
            let word = (source + at).loadUnaligned(as: UInt64.self)
            (target + (at - start)).storeBytes(of: word, as: UInt64.self)
            let special = Self.special(word)
            if special != 0 {
                at += UInt64(littleEndian: special).trailingZeroBitCount / 8
                produced(at - start)
                return at
            }
            at += 8
        }
        while at < end {
            let byte = source.load(fromByteOffset: at, as: UInt8.self)
            guard byte &- 0x20 < 0x5F, byte != 0x22, byte != 0x5C else { break }
            target.storeBytes(of: byte, toByteOffset: at - start, as: UInt8.self)
            at += 1
        }
        produced(at - start)
        if at == end, end < bytes.count { overflowed = true }
        return at
    }

    /// The high bit of each byte that is a control, a quote, a backslash, DEL or not ASCII. A borrow may also flag bytes
    /// after the first, never before it: the first is exact.
    @inline(__always)
    private static func special(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let deletes = word ^ (ones &* 0x7F)
        let found = ((word &- ones &* 0x20) & ~word) | ((quotes &- ones) & ~quotes)
            | ((backslashes &- ones) & ~backslashes) | ((deletes &- ones) & ~deletes) | word
        return found & (ones &* 0x80)
    }

    /// Writes what stands at `at` in a form that JSON allows, and returns the place after it.
    private mutating func appendEscaped(_ bytes: UnsafeRawBufferPointer, at: Int) -> Int {
        let byte = bytes[at]
        switch byte {
        case 0x22: append("\\\"")
        case 0x5C: append("\\\\")
        case 0x08: append("\\b")
        case 0x09: append("\\t")
        case 0x0A: append("\\n")
        case 0x0C: append("\\f")
        case 0x0D: append("\\r")
        case ..<0x80: appendUnicodeEscape(byte)
        default:
            let (length, valid) = Self.utf8Sequence(bytes, at: at)
            if !valid {
                append("\u{FFFD}")
            } else if byte == 0xC2, bytes[at + 1] < 0xA0 {
                appendUnicodeEscape(bytes[at + 1])
            } else {
                append(UnsafeRawBufferPointer(rebasing: bytes[at..<(at + length)]))
            }
            return at + length
        }
        return at + 1
    }

    private mutating func appendUnicodeEscape(_ value: UInt8) {
        append("\\u")
        append(hex: UInt64(value), width: 4)
    }

    /// The length of the UTF-8 sequence at `at` (Unicode 16.0, table 3-7), or of the longest start of one, which is then
    /// replaced as a whole.
    private static func utf8Sequence(_ bytes: UnsafeRawBufferPointer, at: Int) -> (length: Int, valid: Bool) {
        let lead = bytes[at]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: length = 2
        case 0xE0...0xEF:
            length = 3
            if lead == 0xE0 { second = 0xA0...0xBF }
            if lead == 0xED { second = 0x80...0x9F }
        case 0xF0...0xF4:
            length = 4
            if lead == 0xF0 { second = 0x90...0xBF }
            if lead == 0xF4 { second = 0x80...0x8F }
        default: return (1, false)
        }
        for i in 1..<length {
            let allowed = i == 1 ? second : 0x80...0xBF
            guard at + i < bytes.count, allowed.contains(bytes[at + i]) else { return (i, false) }
        }
        return (length, true)
    }
}
