import Base
import Crypto

/// What names one request: 128 bits, 32 hexadecimal digits; or what a trusted proxy in front has named it.
struct RequestID {
    /// Longer ones from a trusted proxy are replaced.
    static let sizeMax = 64
    private var generated: (UInt64, UInt64) = (0, 0)
    private var given: [UInt8] = []

    mutating func generate(_ random: inout FastRandom) {
        generated = (random.next(), random.next())
        if !given.isEmpty { given = [] }
    }

    /// Takes over a name of visible characters that need no escape; false for anything else.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard unsafe !bytes.isEmpty, bytes.count <= Self.sizeMax else { return false }
        guard unsafe bytes.allSatisfy({ ASCII.isToken($0) || $0 == 0x3A || $0 == 0x2F || $0 == 0x3D }) else { return false }
        given = unsafe Array(bytes)
        return true
    }

    func write(to writer: inout ByteWriter) {
        if given.isEmpty {
            writer.append(hex16: generated.0)
            writer.append(hex16: generated.1)
        } else {
            writer.append(given)
        }
    }
}

/// A trace context (W3C Trace Context, version 00): continued from the client or started here.
struct TraceContext {
    var id: (UInt64, UInt64) = (0, 0)
    var isContinued = false

    /// The trace id of a well-formed `traceparent` value; nil otherwise.
    static func traceID(_ value: UnsafeRawBufferPointer) -> (UInt64, UInt64)? {
        // Every place that is looked at lies below 55, or is the one behind it.
        // 00-<32 lower hex>-<16 lower hex>-<2 hex>; later versions may be longer.
        guard value.count >= 55, unsafe value[2] == 0x2D, unsafe value[35] == 0x2D, unsafe value[52] == 0x2D else { return nil }
        func hex(_ range: Range<Int>) -> UInt64? {
            var word: UInt64 = 0
            for i in range {
                guard let digit = unsafe ASCII.hexValue(value[i]), unsafe value[i] &- 0x41 >= 26 else { return nil }
                word = word << 4 | UInt64(digit)
            }
            return word
        }
        guard let version = hex(0..<2), version != 0xFF, unsafe version == 0 ? value.count == 55 : value.count == 55 || value[55] == 0x2D,
            let high = hex(3..<19), let low = hex(19..<35), high | low != 0, let parent = hex(36..<52), parent != 0, hex(53..<55) != nil
        else { return nil }
        return (high, low)
    }
}

extension ByteWriter {
    /// Sixteen lower-case hexadecimal digits.
    mutating func append(hex16 value: UInt64) {
        // Eight nibbles at a time: spread, then add what makes a digit or a letter of each.
        func spread(_ half: UInt32) -> UInt64 {
            var x = UInt64(half)
            x = (x | x << 16) & 0x0000_FFFF_0000_FFFF
            x = (x | x << 8) & 0x00FF_00FF_00FF_00FF
            x = (x | x << 4) & 0x0F0F_0F0F_0F0F_0F0F
            let letters = (x &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
            return (x &+ 0x3030_3030_3030_3030 &+ letters &* 0x27).bigEndian
        }
        var digits = (spread(UInt32(truncatingIfNeeded: value >> 32)), spread(UInt32(truncatingIfNeeded: value)))
        unsafe withUnsafeBytes(of: &digits) { unsafe append($0) }
    }
}
