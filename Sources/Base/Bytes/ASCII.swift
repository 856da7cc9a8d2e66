/// The wire is bytes. Names of the few that matter, and the ASCII-only operations on them: Swift's own text functions
/// take NBSP, NEL and the Kelvin sign for ASCII, and CRLF for one character.
public enum ASCII {
    public static let tab: UInt8 = 0x09
    public static let lf: UInt8 = 0x0A
    public static let cr: UInt8 = 0x0D
    public static let space: UInt8 = 0x20

    /// `A`-`Z` to `a`-`z`, everything else as it is.
    @inlinable @inline(__always)
    public static func lowercase(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    @inlinable @inline(__always)
    public static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inlinable @inline(__always)
    public static func isAlpha(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

    /// The value of a hexadecimal digit in either case; nil for any other byte.
    @inlinable @inline(__always)
    public static func hexValue(_ byte: UInt8) -> UInt8? {
        if isDigit(byte) { return byte &- 0x30 }
        let letter = (byte | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }

    /// A character of an HTTP token (RFC 9110 section 5.6.2).
    @inlinable @inline(__always)
    public static func isToken(_ byte: UInt8) -> Bool {
        if isAlpha(byte) || isDigit(byte) { return true }
        switch byte {
        case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: return true
        default: return false
        }
    }

    /// Digits only, at least one, no sign, no overflow; nil otherwise.
    @inlinable
    public static func decimal(_ bytes: UnsafeRawBufferPointer) -> UInt64? {
        guard unsafe !bytes.isEmpty, bytes.count <= 20 else { return nil }
        var value: UInt64 = 0
        for unsafe byte in unsafe bytes {
            guard isDigit(byte) else { return nil }
            let (shifted, o1) = value.multipliedReportingOverflow(by: 10)
            let (sum, o2) = shifted.addingReportingOverflow(UInt64(byte &- 0x30))
            guard !o1, !o2 else { return nil }
            value = sum
        }
        return value
    }

    /// Whether `bytes` equals the lower-case `name`, ignoring ASCII case.
    @inlinable
    public static func equalsIgnoringCase(_ bytes: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        guard bytes.count == name.utf8CodeUnitCount else { return false }
        let other = unsafe name.utf8Start
        for i in 0..<bytes.count where unsafe lowercase(bytes[i]) != other[i] { return false }
        return true
    }
}

extension String {
    /// ASCII letters lowered, all other scalars untouched.
    public var asciiLowercased: String {
        if utf8.allSatisfy({ $0 &- 0x41 >= 26 }) { return self }
        return String(decoding: utf8.map(ASCII.lowercase), as: UTF8.self)
    }
}
