import Base

/// Reads JSON strictly by RFC 8259 and I-JSON (RFC 7493): UTF-8 without a mark in front, no name twice in an object, no
/// lone surrogate, nothing after the value. What two readers could read two ways is refused.
struct JSONReader {
    enum Fault: Error, Sendable { case malformed, duplicateName, tooDeep, tooLarge }

    /// Objects and arrays inside each other. Claims have two or three levels.
    static let depthMax = 16
    /// Values in all, so that the work is bounded by more than the size.
    static let valuesMax = 4096

    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private var values = 0

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    static func read(_ bytes: [UInt8]) throws(Fault) -> JSONValue {
        try bytes.withUnsafeBufferPointer { bytes throws(Fault) in
            var reader = JSONReader(UnsafeRawBufferPointer(bytes))
            reader.skipSpace()
            let value = try reader.value(depth: 0)
            reader.skipSpace()
            guard reader.at == bytes.count else { throw .malformed }
            return value
        }
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x09 || bytes[at] == 0x0A || bytes[at] == 0x0D { at += 1 }
    }

    private mutating func take(_ byte: UInt8) throws(Fault) {
        guard at < bytes.count, bytes[at] == byte else { throw .malformed }
        at += 1
    }

    private func isNext(_ byte: UInt8) -> Bool { at < bytes.count && bytes[at] == byte }

    private mutating func value(depth: Int) throws(Fault) -> JSONValue {
        values += 1
        guard values <= Self.valuesMax else { throw .tooLarge }
        guard at < bytes.count else { throw .malformed }
        switch bytes[at] {
        case 0x7B: return .object(try object(depth: depth))
        case 0x5B: return .array(try array(depth: depth))
        case 0x22: return .string(try string())
        case 0x74: return try word("true", .bool(true))
        case 0x66: return try word("false", .bool(false))
        case 0x6E: return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(Fault) -> JSONValue {
        for i in 0..<text.utf8CodeUnitCount { try take(text.utf8Start[i]) }
        return value
    }

    private mutating func object(depth: Int) throws(Fault) -> JSONObject {
        guard depth < Self.depthMax else { throw .tooDeep }
        try take(0x7B)
        var object = JSONObject()
        var names: Set<[UInt8]> = []
        skipSpace()
        if isNext(0x7D) {
            at += 1
            return object
        }
        while true {
            skipSpace()
            let name = try string()
            guard names.insert(name).inserted else { throw .duplicateName }
            skipSpace()
            try take(0x3A)
            skipSpace()
            object.members.append(JSONObject.Member(name: name, value: try value(depth: depth + 1)))
            skipSpace()
            if isNext(0x2C) {
                at += 1
                continue
            }
            try take(0x7D)
            return object
        }
    }

    private mutating func array(depth: Int) throws(Fault) -> [JSONValue] {
        guard depth < Self.depthMax else { throw .tooDeep }
        try take(0x5B)
        var list: [JSONValue] = []
        skipSpace()
        if isNext(0x5D) {
            at += 1
            return list
        }
        while true {
            skipSpace()
            list.append(try value(depth: depth + 1))
            skipSpace()
            if isNext(0x2C) {
                at += 1
                continue
            }
            try take(0x5D)
            return list
        }
    }

    // MARK: Numbers

    private mutating func number() throws(Fault) -> JSONValue {
        let start = at
        var isWhole = true
        if isNext(0x2D) { at += 1 }
        if isNext(0x30) { at += 1 } else { try digits() }
        if isNext(0x2E) {
            isWhole = false
            at += 1
            try digits()
        }
        if isNext(0x65) || isNext(0x45) {
            isWhole = false
            at += 1
            if isNext(0x2B) || isNext(0x2D) { at += 1 }
            try digits()
        }
        guard at - start <= 64 else { throw .tooLarge }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw .tooLarge }
        return .number(value)
    }

    private mutating func digits() throws(Fault) {
        let start = at
        while at < bytes.count, ASCII.isDigit(bytes[at]) { at += 1 }
        guard at > start else { throw .malformed }
    }

    // MARK: Strings

    private mutating func string() throws(Fault) -> [UInt8] {
        try take(0x22)
        var text: [UInt8] = []
        var isASCII = true
        while true {
            guard at < bytes.count else { throw .malformed }
            let byte = bytes[at]
            at += 1
            switch byte {
            case 0x22:
                guard isASCII || String(validating: text, as: UTF8.self) != nil else { throw .malformed }
                return text
            case 0x5C: text += try escape()
            case ..<0x20: throw .malformed
            default:
                if byte >= 0x80 { isASCII = false }
                text.append(byte)
            }
        }
    }

    private mutating func escape() throws(Fault) -> [UInt8] {
        guard at < bytes.count else { throw .malformed }
        let letter = bytes[at]
        at += 1
        switch letter {
        case 0x22, 0x5C, 0x2F: return [letter]
        case 0x62: return [0x08]
        case 0x66: return [0x0C]
        case 0x6E: return [0x0A]
        case 0x72: return [0x0D]
        case 0x74: return [0x09]
        case 0x75: break
        default: throw .malformed
        }
        var scalar = try hexadecimal()
        if scalar >> 10 == 0xD800 >> 10 {
            try take(0x5C)
            try take(0x75)
            let low = try hexadecimal()
            guard low >> 10 == 0xDC00 >> 10 else { throw .malformed }
            scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
        }
        guard let character = Unicode.Scalar(scalar) else { throw .malformed }
        return Array(UTF8.encode(character)!)
    }

    private mutating func hexadecimal() throws(Fault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard at < bytes.count, let digit = ASCII.hexValue(bytes[at]) else { throw .malformed }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}
