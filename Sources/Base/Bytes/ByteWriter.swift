#if canImport(Glibc)
    import Glibc
#endif

/// Appends to a fixed region and never past its end: what does not fit sets `overflowed` and is left out, so a caller
/// checks once, at the end, and not at each append. The region must stay for as long as this is used.
@safe public struct ByteWriter {
    public let base: UnsafeMutableRawPointer
    public let capacity: Int
    public private(set) var count = 0
    public internal(set) var overflowed = false

    public init(_ region: UnsafeMutableRawBufferPointer) {
        unsafe base = region.baseAddress!
        capacity = region.count
    }

    public var written: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }

    /// The room that is left.
    public var spare: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base + count, count: capacity - count)
    }

    /// `count` bytes were written into `spare`.
    public mutating func produced(_ count: Int) {
        precondition(count >= 0 && count <= capacity - self.count)
        self.count += count
    }

    /// What was to come next has no room.
    public mutating func overflow() { overflowed = true }

    /// Forgets everything after the first `count` bytes, and that they did not fit.
    public mutating func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count)
        (self.count, overflowed) = (count, false)
    }

    public mutating func removeAll() { (count, overflowed) = (0, false) }

    @inlinable @inline(__always)
    public mutating func append(_ text: StaticString) {
        unsafe append(text.utf8Start, text.utf8CodeUnitCount)
    }

    @inlinable @inline(__always)
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if let start = bytes.baseAddress { unsafe append(start, bytes.count) }
    }

    /// For the edges only: names from the configuration, error texts. Disfavoured, or every literal would be a
    /// `String`: that is the type a literal takes where both fit, and it costs four times as much.
    @_disfavoredOverload
    public mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    public mutating func append(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe append($0) }
    }

    /// Inlined, so that a literal becomes a few stores of constants.
    @inline(__always)
    public mutating func append(_ start: UnsafeRawPointer, _ length: Int) {
        guard capacity - count >= length else { overflowed = true; return }
        unsafe memcpy(base + count, start, length)
        count += length
    }

    @inline(__always)
    public mutating func append(byte: UInt8) {
        guard count < capacity else { overflowed = true; return }
        unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    public mutating func append(decimal value: UInt64) {
        if value < 10 { return append(byte: 0x30 + UInt8(truncatingIfNeeded: value)) }
        var length = 2
        var power: UInt64 = 100
        // 10^19 is the last that fits.
        while length < 20, value >= power {
            length += 1
            power = power &* 10
        }
        guard capacity - count >= length else { overflowed = true; return }
        var rest = value
        var at = count + length
        repeat {
            at &-= 1
            unsafe base.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: rest % 10), toByteOffset: at, as: UInt8.self)
            rest /= 10
        } while rest > 0
        count += length
    }

    public mutating func append(decimal value: Int) {
        if value < 0 { append(byte: 0x2D) }
        append(decimal: UInt64(value.magnitude))
    }

    /// Lower-case hexadecimal without leading zeros, or padded to `width` digits.
    public mutating func append(hex value: UInt64, width: Int = 1) {
        var digits = max(width, (64 - value.leadingZeroBitCount + 3) / 4)
        while digits > 0 {
            digits -= 1
            let nibble = digits >= 16 ? 0 : UInt8(truncatingIfNeeded: value >> UInt64(4 * digits)) & 15
            append(byte: nibble < 10 ? 0x30 + nibble : 0x57 + nibble)
        }
    }
}
