import Base

/// Reads the JSON that the ledger's own lines are made of: one object, strings, whole numbers, lists and objects of
/// them. Members it does not know are passed over, so that an older gateway reads what a newer one wrote.
struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private(set) var at = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { at == bytes.count }

    mutating func take(_ byte: UInt8) -> Bool {
        guard at < bytes.count, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    /// The raw text of a string without its quotes; an escape is left as it stands.
    mutating func rawString() -> UnsafeRawBufferPointer? {
        guard take(0x22) else { return nil }
        let start = at
        while at < bytes.count {
            let byte = bytes[at]
            if byte == 0x22 {
                at += 1
                return UnsafeRawBufferPointer(rebasing: bytes[start..<at - 1])
            }
            at += byte == 0x5C ? 2 : 1
        }
        return nil
    }

    mutating func string() -> String? {
        guard let raw = rawString() else { return nil }
        guard raw.contains(0x5C) else { return String(validating: raw, as: UTF8.self) }
        return Self.unescape(raw)
    }

    mutating func unsigned() -> UInt64? {
        let start = at
        while at < bytes.count, ASCII.isDigit(bytes[at]) { at += 1 }
        return ASCII.decimal(UnsafeRawBufferPointer(rebasing: bytes[start..<at]))
    }

    mutating func signed() -> Int64? {
        if take(0x2D) {
            guard let magnitude = unsigned(), magnitude <= 1 << 63 else { return nil }
            return Int64(truncatingIfNeeded: 0 &- magnitude)
        }
        return unsigned().flatMap { Int64(exactly: $0) }
    }

    /// The members of an object; `value` reads one and returns false where it can't.
    mutating func object(_ value: (_ name: UnsafeRawBufferPointer, inout JSONScanner) -> Bool) -> Bool {
        guard take(0x7B) else { return false }
        if take(0x7D) { return true }
        repeat {
            guard let name = rawString(), take(0x3A), value(name, &self) else { return false }
        } while take(0x2C)
        return take(0x7D)
    }

    /// The elements of a list; `value` reads one and returns false where it can't.
    mutating func list(_ value: (inout JSONScanner) -> Bool) -> Bool {
        guard take(0x5B) else { return false }
        if take(0x5D) { return true }
        repeat {
            guard value(&self) else { return false }
        } while take(0x2C)
        return take(0x5D)
    }

    /// Passes over any value, nested at most so deep.
    mutating func skip(depth: Int = 8) -> Bool {
        guard at < bytes.count, depth > 0 else { return false }
        switch bytes[at] {
        case 0x22: return rawString() != nil
        case 0x7B: return object { $1.skip(depth: depth - 1) }
        case 0x5B: return list { $0.skip(depth: depth - 1) }
        default:
            let start = at
            while at < bytes.count,
                ASCII.isAlpha(bytes[at]) || ASCII.isDigit(bytes[at]) || [0x2B, 0x2D, 0x2E].contains(bytes[at])
            {
                at += 1
            }
            return at > start
        }
    }

    private static func unescape(_ raw: UnsafeRawBufferPointer) -> String? {
        var units: [UInt16] = []
        var text = ""
        func flush(_ text: inout String) { text += String(decoding: units, as: UTF16.self) }
        var plain: [UInt8] = []
        var at = 0
        while at < raw.count {
            if raw[at] != 0x5C {
                plain.append(raw[at])
                at += 1
                continue
            }
            guard at + 1 < raw.count else { return nil }
            let letter = raw[at + 1]
            at += 2
            if letter == 0x75 {
                guard at + 4 <= raw.count else { return nil }
                var unit: UInt16 = 0
                for byte in raw[at..<at + 4] {
                    guard let digit = ASCII.hexValue(byte) else { return nil }
                    unit = unit << 4 | UInt16(digit)
                }
                at += 4
                text += String(decoding: plain, as: UTF8.self)
                plain = []
                units = [unit]
                flush(&text)
                continue
            }
            switch letter {
            case 0x22, 0x5C, 0x2F: plain.append(letter)
            case 0x62: plain.append(0x08)
            case 0x66: plain.append(0x0C)
            case 0x6E: plain.append(0x0A)
            case 0x72: plain.append(0x0D)
            case 0x74: plain.append(0x09)
            default: return nil
            }
        }
        return text + String(decoding: plain, as: UTF8.self)
    }
}
