/// A string in a text that is being read: checked, and not copied. Good for as long as the text is.
@safe public struct JSONString {
    /// What stands between the quotes.
    @usableFromInline let raw: UnsafeRawBufferPointer
    @usableFromInline let hasEscapes: Bool

    init(raw: UnsafeRawBufferPointer, hasEscapes: Bool) { unsafe (self.raw, self.hasEscapes) = (raw, hasEscapes) }

    /// Its bytes where they stand; nil where some are written as escapes.
    @inlinable @inline(__always)
    public var plain: UnsafeRawBufferPointer? { unsafe hasEscapes ? nil : raw }

    /// Its bytes, UTF-8, with escapes undone.
    public var bytes: [UInt8] { hasEscapes ? unescaped : unsafe Array(raw) }

    public var text: String {
        hasEscapes ? String(decoding: unescaped, as: UTF8.self) : unsafe String(decoding: raw, as: UTF8.self)
    }

    /// Compares bytes, so that no two spellings of a character are one: `switch name { case "id": ... }`.
    @inlinable @inline(__always)
    public static func ~= (text: StaticString, string: JSONString) -> Bool {
        if string.hasEscapes { return string.unescaped.spells(text) }
        guard unsafe string.raw.count == text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where unsafe string.raw[index] != text.utf8Start[index] { return false }
        return true
    }

    /// The reader has checked that the escapes are whole.
    @usableFromInline var unescaped: [UInt8] {
        let raw = unsafe Array(raw)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(raw.count)
        var at = 0
        while at < raw.count {
            let byte = raw[at]
            guard byte == 0x5C else {
                bytes.append(byte)
                at += 1
                continue
            }
            let letter = raw[at + 1]
            at += 2
            switch letter {
            case 0x62: bytes.append(0x08)
            case 0x66: bytes.append(0x0C)
            case 0x6E: bytes.append(0x0A)
            case 0x72: bytes.append(0x0D)
            case 0x74: bytes.append(0x09)
            case 0x75:
                bytes.append(contentsOf: UTF8.encode(Self.character(raw, &at)) ?? UTF8.encodedReplacementCharacter)
            default: bytes.append(letter)
            }
        }
        return bytes
    }

    /// The character whose digits are at `at`, which goes behind them: of one escape, or of two.
    private static func character(_ raw: [UInt8], _ at: inout Int) -> Unicode.Scalar {
        func next() -> UInt32 {
            defer { at += 4 }
            return raw[at..<at + 4].reduce(0) { $0 << 4 | UInt32(ASCII.hexValue($1) ?? 0) }
        }
        let unit = next()
        guard unit >> 10 == 0xD800 >> 10 else { return Unicode.Scalar(unit) ?? "\u{FFFD}" }
        at += 2
        return Unicode.Scalar(0x10000 + (unit & 0x3FF) << 10 + (next() & 0x3FF)) ?? "\u{FFFD}"
    }
}

extension [UInt8] {
    /// Whether these are the bytes of `text`.
    public func spells(_ text: StaticString) -> Bool {
        unsafe elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
