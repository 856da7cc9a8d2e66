/// Reads JSON (RFC 8259) from front to back: whoever calls says what must come next, and nothing is copied or allocated.
/// What RFC 8259 does not allow is refused, and of I-JSON (RFC 7493) too what is not UTF-8 and a lone surrogate.
///
///     try JSONReader.read(text) { json throws(JSONReader.Fault) in
///         try json.object { name, json throws(JSONReader.Fault) in
///             switch name {
///             case "id": id = try json.string().text
///             default: try json.skip()
///             }
///         }
///     }
///
/// Two members of one name are both handed over. `JSONValue` refuses them, and is the one to read what strangers sign.
@safe public struct JSONReader {
    public enum Fault: Error, Sendable {
        /// Not JSON, or not what was asked for.
        case malformed
        case duplicateName
        case tooDeep
        /// A number that nothing here can hold, or more values than are wanted.
        case tooLarge
    }

    @usableFromInline let bytes: UnsafeRawBufferPointer
    @usableFromInline var at = 0
    @usableFromInline var depth = 0

    @usableFromInline init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// All of a text: what `value` reads, and nothing behind it but white space.
    @inlinable @inline(__always)
    public static func read<Value>(
        _ bytes: UnsafeRawBufferPointer, _ value: (inout JSONReader) throws(Fault) -> Value
    ) throws(Fault) -> Value {
        var reader = unsafe JSONReader(bytes)
        let value = try value(&reader)
        reader.skipSpace()
        guard reader.at == bytes.count else { throw .malformed }
        return value
    }

    public static func read<Value>(
        _ bytes: [UInt8], _ value: (inout JSONReader) throws(Fault) -> Value
    ) throws(Fault) -> Value {
        try unsafe bytes.withUnsafeBufferPointer { bytes throws(Fault) in
            try unsafe read(UnsafeRawBufferPointer(bytes), value)
        }
    }

    // MARK: What stands next

    /// The byte at this place; zero, which JSON has nowhere, at the end.
    @inlinable @inline(__always)
    var current: UInt8 { unsafe at < bytes.count ? bytes[at] : 0 }

    /// What was read from `start` up to this place.
    @inline(__always)
    private func read(from start: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<at])
    }

    @inlinable @inline(__always)
    mutating func skipSpace() {
        while current == 0x20 || current == 0x09 || current == 0x0A || current == 0x0D { at += 1 }
    }

    /// The byte that comes next, behind white space.
    @inlinable @inline(__always)
    mutating func peek() -> UInt8 {
        skipSpace()
        return current
    }

    @inlinable @inline(__always)
    mutating func skips(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        at += 1
        return true
    }

    @inlinable @inline(__always)
    mutating func take(_ byte: UInt8) throws(Fault) {
        guard skips(byte) else { throw .malformed }
    }

    // MARK: Objects and arrays

    /// An object, whose members `member` reads: exactly one value each.
    @inlinable @inline(__always)
    public mutating func object(
        _ member: (_ name: JSONString, inout JSONReader) throws(Fault) -> Void
    ) throws(Fault) {
        try open(0x7B)
        if !skips(0x7D) {
            repeat {
                let name = try string()
                try take(0x3A)
                try member(name, &self)
            } while skips(0x2C)
            try take(0x7D)
        }
        depth -= 1
    }

    /// An array, whose elements `element` reads: exactly one value each.
    @inlinable @inline(__always)
    public mutating func array(_ element: (inout JSONReader) throws(Fault) -> Void) throws(Fault) {
        try open(0x5B)
        if !skips(0x5D) {
            repeat { try element(&self) } while skips(0x2C)
            try take(0x5D)
        }
        depth -= 1
    }

    @inlinable @inline(__always)
    mutating func open(_ bracket: UInt8) throws(Fault) {
        try take(bracket)
        guard depth < Limits.jsonDepthMax else { throw .tooDeep }
        depth += 1
    }

    // MARK: Single values

    public mutating func bool() throws(Fault) -> Bool {
        if peek() == 0x74 {
            try word("true")
            return true
        }
        try word("false")
        return false
    }

    public mutating func null() throws(Fault) { try word("null") }

    private mutating func word(_ text: StaticString) throws(Fault) {
        skipSpace()
        for index in 0..<text.utf8CodeUnitCount {
            guard unsafe current == text.utf8Start[index] else { throw .malformed }
            at += 1
        }
    }

    public mutating func number() throws(Fault) -> JSONNumber {
        skipSpace()
        let start = at
        if current == 0x2D { at += 1 }
        if current == 0x30 { at += 1 } else { try digits() }
        let whole = at
        if current == 0x2E {
            at += 1
            try digits()
        }
        if current == 0x45 || current == 0x65 {
            at += 1
            if current == 0x2B || current == 0x2D { at += 1 }
            try digits()
        }
        return unsafe JSONNumber(text: read(from: start), isWhole: at == whole)
    }

    /// A number without sign, fraction and exponent.
    public mutating func unsigned() throws(Fault) -> UInt64 {
        let (first, start) = (peek(), at)
        var value: UInt64 = 0
        while ASCII.isDigit(current) {
            let digit = UInt64(current &- 0x30)
            // Nineteen digits always fit, a twentieth may.
            if at - start >= 19 {
                guard at - start == 19, value <= (UInt64.max - digit) / 10 else { throw .tooLarge }
            }
            value = value &* 10 &+ digit
            at += 1
        }
        guard at > start, first != 0x30 || at == start + 1 else { throw .malformed }
        return value
    }

    /// A number without fraction and exponent.
    public mutating func integer() throws(Fault) -> Int64 {
        let number = try number()
        guard number.isWhole else { throw .malformed }
        guard let value = number.integer else { throw .tooLarge }
        return value
    }

    @inline(__always)
    private mutating func digits() throws(Fault) {
        guard ASCII.isDigit(current) else { throw .malformed }
        repeat { at += 1 } while ASCII.isDigit(current)
    }

    /// A value of any kind, checked and passed over.
    public mutating func skip() throws(Fault) {
        switch peek() {
        case 0x22: _ = try string()
        case 0x7B: try object { _, json throws(Fault) in try json.skip() }
        case 0x5B: try array { json throws(Fault) in try json.skip() }
        case 0x74, 0x66: _ = try bool()
        case 0x6E: try null()
        default: _ = try number()
        }
    }

    // MARK: Strings

    public mutating func string() throws(Fault) -> JSONString {
        try take(0x22)
        let start = at
        var hasEscapes = false
        while true {
            at = unsafe JSONText.plainEnd(of: bytes, from: at)
            switch current {
            case 0x22:
                defer { at += 1 }
                return unsafe JSONString(raw: read(from: start), hasEscapes: hasEscapes)
            case 0x5C:
                hasEscapes = true
                try escape()
            case ..<0x20: throw .malformed
            case ..<0x80: at += 1
            default:
                let (length, isValid) = unsafe JSONText.utf8Sequence(UnsafeRawBufferPointer(rebasing: bytes[at...]))
                guard isValid else { throw .malformed }
                at += length
            }
        }
    }

    /// Passes over an escape, or the two that make one character.
    private mutating func escape() throws(Fault) {
        at += 1
        let letter = current
        at += 1
        switch letter {
        case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74: return
        case 0x75: break
        default: throw .malformed
        }
        switch try codeUnit() {
        case 0xD800..<0xDC00:
            guard current == 0x5C else { throw .malformed }
            at += 1
            guard current == 0x75 else { throw .malformed }
            at += 1
            guard case 0xDC00..<0xE000 = try codeUnit() else { throw .malformed }
        case 0xDC00..<0xE000: throw .malformed
        default: return
        }
    }

    /// Four hexadecimal digits.
    private mutating func codeUnit() throws(Fault) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = ASCII.hexValue(current) else { throw .malformed }
            value = value << 4 | UInt16(digit)
            at += 1
        }
        return value
    }
}
