import Base

/// The members of a dictionary (RFC 9651 section 3.2), read in turn: their names, and as much of their values as anybody here
/// asks for. Whoever finds `isMalformed` in the end forgets all of it (section 4.2).
@safe struct DictionaryField {
    enum Value: Equatable {
        case integer(Int)
        case boolean(Bool)
        /// Of another type.
        case other
    }

    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private(set) var isMalformed = false

    private struct Malformed: Error {}

    init(_ field: UnsafeRawBufferPointer) { unsafe bytes = field.trimmed }

    mutating func next() -> (key: UnsafeRawBufferPointer, value: Value)? {
        if isMalformed || byte == nil { return nil }
        do throws(Malformed) {
            let key = unsafe bytes[try word(Self.beginsKey, Self.isKey)]
            var value = Value.boolean(true)
            if skip(0x3D) { value = byte == 0x28 ? try innerList() : try item() }
            try parameters()
            skipSpace()
            if byte != nil {
                guard skip(0x2C) else { throw Malformed() }
                skipSpace()
                // Nothing follows the comma.
                if byte == nil { throw Malformed() }
            }
            return unsafe (key, value)
        } catch {
            isMalformed = true
            return nil
        }
    }

    private var byte: UInt8? { unsafe at < bytes.count ? bytes[at] : nil }

    private mutating func skip(_ wanted: UInt8) -> Bool {
        guard byte == wanted else { return false }
        at += 1
        return true
    }

    /// Tabs are only there between members, where this is asked; elsewhere they are part of nothing.
    private mutating func skipSpace(tabs: Bool = true) { while byte == ASCII.space || tabs && byte == ASCII.tab { at += 1 } }

    private static func beginsKey(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 || byte == 0x2A }
    private static func isKey(_ byte: UInt8) -> Bool {
        beginsKey(byte) || ASCII.isDigit(byte) || byte == 0x5F || byte == 0x2D || byte == 0x2E
    }

    private mutating func word(_ begins: (UInt8) -> Bool, _ goesOn: (UInt8) -> Bool) throws(Malformed) -> ByteRange {
        guard let first = byte, begins(first) else { throw Malformed() }
        let start = at
        repeat { at += 1 } while byte.map(goesOn) ?? false
        return ByteRange(start, at)
    }

    private mutating func parameters() throws(Malformed) {
        while skip(0x3B) {
            skipSpace(tabs: false)
            _ = try word(Self.beginsKey, Self.isKey)
            if skip(0x3D) { _ = try item() }
        }
    }

    private mutating func innerList() throws(Malformed) -> Value {
        at += 1
        while true {
            skipSpace(tabs: false)
            if skip(0x29) { return .other }
            _ = try item()
            try parameters()
            guard byte == ASCII.space || byte == 0x29 else { throw Malformed() }
        }
    }

    private mutating func item() throws(Malformed) -> Value {
        switch byte {
        case 0x22: return try string()
        case 0x3A: return try binary()
        case 0x3F:
            at += 1
            if skip(0x31) { return .boolean(true) }
            if skip(0x30) { return .boolean(false) }
            throw Malformed()
        case 0x40:
            at += 1
            guard case .integer = try number() else { throw Malformed() }
            return .other
        case 0x2D?, (0x30...0x39)?: return try number()
        default:
            _ = try word({ ASCII.isAlpha($0) || $0 == 0x2A }, { ASCII.isToken($0) || $0 == 0x3A || $0 == 0x2F })
            return .other
        }
    }

    /// An integer of 15 digits at most, or a decimal of twelve with three behind the point.
    private mutating func number() throws(Malformed) -> Value {
        let isNegative = skip(0x2D)
        var (value, digits) = (0, 0)
        while let next = byte, ASCII.isDigit(next), digits < 15 {
            value = value * 10 + Int(next - 0x30)
            digits += 1
            at += 1
        }
        guard digits > 0 else { throw Malformed() }
        guard skip(0x2E) else {
            if let next = byte, ASCII.isDigit(next) { throw Malformed() }
            return .integer(isNegative ? -value : value)
        }
        var places = 0
        while let next = byte, ASCII.isDigit(next) {
            places += 1
            at += 1
        }
        guard digits <= 12, (1...3).contains(places) else { throw Malformed() }
        return .other
    }

    private mutating func string() throws(Malformed) -> Value {
        at += 1
        while let next = byte {
            at += 1
            if next == 0x22 { return .other }
            guard 0x20...0x7E ~= next else { throw Malformed() }
            if next == 0x5C { guard skip(0x22) || skip(0x5C) else { throw Malformed() } }
        }
        throw Malformed()
    }

    private mutating func binary() throws(Malformed) -> Value {
        at += 1
        while let next = byte {
            at += 1
            if next == 0x3A { return .other }
            guard ASCII.isAlpha(next) || ASCII.isDigit(next) || next == 0x2B || next == 0x2F || next == 0x3D else { throw Malformed() }
        }
        throw Malformed()
    }
}
