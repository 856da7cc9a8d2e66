import Base

/// Looks at eight bytes at a time for the first byte of a kind. The arithmetic may misjudge bytes above the first hit (a
/// borrow runs upwards), never the first hit itself.
enum WordScan {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    /// The first byte from `at` that may not stand in a field value: a control character other than tab, or DEL
    /// (RFC 9110 section 5.5). `end` when there is none.
    @inline(__always)
    static func valueEnd(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while true {
            while end &- at >= 8 {
                let word = (base + at).loadUnaligned(as: UInt64.self)
                let low = word &- ones &* 0x20
                let del = (word ^ ones &* 0x7F) &- ones
                let hits = (low | del) & ~word & tops
                if hits != 0 {
                    at &+= hits.trailingZeroBitCount &>> 3
                    break
                }
                at &+= 8
            }
            while at < end, base.load(fromByteOffset: at, as: UInt8.self) >= 0x20,
                base.load(fromByteOffset: at, as: UInt8.self) != 0x7F
            { at &+= 1 }
            if at < end, base.load(fromByteOffset: at, as: UInt8.self) == ASCII.tab { at &+= 1 } else { return at }
        }
    }

    /// The first byte from `at` that may not stand in a request target: anything but visible ASCII, and `#`.
    @inline(__always)
    static func targetEnd(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while end &- at >= 8 {
            let word = (base + at).loadUnaligned(as: UInt64.self)
            let low = word &- ones &* 0x21
            let del = (word ^ ones &* 0x7F) &- ones
            let hash = (word ^ ones &* 0x23) &- ones
            let hits = (low | del | hash | word) & tops
            if hits != 0 { return at &+ hits.trailingZeroBitCount &>> 3 }
            at &+= 8
        }
        while at < end {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            if byte &- 0x21 >= 0x5E || byte == 0x23 { return at }
            at &+= 1
        }
        return at
    }

    /// The first `byte` from `at`; `end` when there is none.
    @inline(__always)
    static func first(_ byte: UInt8, _ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while end &- at >= 8 {
            let word = (base + at).loadUnaligned(as: UInt64.self) ^ ones &* UInt64(byte)
            let hits = (word &- ones) & ~word & tops
            if hits != 0 { return at &+ hits.trailingZeroBitCount &>> 3 }
            at &+= 8
        }
        while at < end, base.load(fromByteOffset: at, as: UInt8.self) != byte { at &+= 1 }
        return at
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these are exactly the bytes of `text`.
    @inline(__always)
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for i in 0..<count where self[i] != text.utf8Start[i] { return false }
        return true
    }
}
