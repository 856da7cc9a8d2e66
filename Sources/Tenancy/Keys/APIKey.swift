import Base
import Crypto

/// The form of the keys that the gateway makes: `gw_`, 27 random base-62 digits (160 bits), and 6 digits of a CRC-32 over
/// everything before them. A scanner recognises a leaked one, and a mistyped one is told apart without a look-up.
public enum APIKey {
    public static let prefix: StaticString = "gw_"
    static let randomDigits = 27
    static let checkDigits = 6
    static let count = 3 + randomDigits + checkDigits
    /// Longer ones, of whatever form, are no keys.
    public static let sizeMax = 512

    private static let digits = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// A new key from the system's randomness.
    public static func make() -> String {
        var text: [UInt8] = Array("gw_".utf8)
        while text.count < 3 + randomDigits {
            // 248 is the largest multiple of 62 in a byte: every digit is as likely as any other.
            for byte in Random.bytes(32) where byte < 248 && text.count < 3 + randomDigits {
                text.append(digits[Int(byte) % 62])
            }
        }
        let sum = text.withUnsafeBytes { checksum($0) }
        withUnsafeBytes(of: sum) { text += $0 }
        return String(decoding: text[..<count], as: UTF8.self)
    }

    /// Whether a key is of the gateway's own making, by its prefix. Keys of any other form are allowed.
    @inline(__always)
    public static func isOwn(_ key: UnsafeRawBufferPointer) -> Bool {
        key.count >= 3 && key[0] == 0x67 && key[1] == 0x77 && key[2] == 0x5F
    }

    /// Whether a key of the gateway's own making has the right length, alphabet and checksum.
    public static func isWellFormed(_ key: UnsafeRawBufferPointer) -> Bool {
        guard isOwn(key), key.count == count else { return false }
        for i in 3..<count where !(ASCII.isDigit(key[i]) || ASCII.isAlpha(key[i])) { return false }
        let sum = checksum(UnsafeRawBufferPointer(rebasing: key[..<(3 + randomDigits)]))
        return withUnsafeBytes(of: sum) { sum in
            for i in 0..<checkDigits where sum[i] != key[3 + randomDigits + i] { return false }
            return true
        }
    }

    /// A whole key of the gateway's own making wherever it stands in a field's value: behind another scheme, in quotes, in a list.
    public static func found(in value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard value.count >= count else { return nil }
        for start in 0...(value.count - count) where value[start] == 0x67 {
            let key = UnsafeRawBufferPointer(rebasing: value[start..<(start + count)])
            if isWellFormed(key) { return key }
        }
        return nil
    }

    /// Six digits, the most significant first, in the first six bytes.
    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var rest = CRC32.of(bytes)
        var text: UInt64 = 0
        for place in (0..<checkDigits).reversed() {
            let digit = UInt8(truncatingIfNeeded: rest % 62)
            text |= UInt64(Self.digit(digit)) << UInt64(8 * place)
            rest /= 62
        }
        return text.littleEndian
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        if value < 10 { return 0x30 + value }
        return value < 36 ? 0x41 + value - 10 : 0x61 + value - 36
    }
}

/// The CRC-32 of ISO-HDLC: reflected polynomial EDB88320, bit by bit: keys are short, and made keys are the only ones that have one.
enum CRC32 {
    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var value: UInt32 = .max
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~value
    }
}
