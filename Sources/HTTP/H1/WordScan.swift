import Base

/// Looks at eight bytes at a time for the first byte of a kind.
///
/// The tests are sums and differences whose top bits tell: `byte - 0x20` has it for bytes below 0x20 (and from 0xA0
/// on), `byte + 1` for 0x7F (and from 0x80 on). A borrow or a carry goes upwards only, out of a byte that is a hit
/// itself, so the first hit is always exact and what is above it is not looked at.
///
/// A word is read only where eight bytes are left in front of `end`, or, for the last bytes, where eight stand in front of it.
enum WordScan {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    @inline(__always)
    private static func word(_ base: UnsafeRawPointer, _ at: Int) -> UInt64 {
        unsafe UInt64(littleEndian: (base + at).loadUnaligned(as: UInt64.self))
    }

    @inline(__always)
    private static func firstByte(_ hits: UInt64) -> Int { hits.trailingZeroBitCount &>> 3 }

    /// The first byte from `at` that ends a field value, or may have to: CR nearly always; otherwise a control
    /// character, DEL, a tab, a byte above ASCII, or one of the last seven. `end` when there is none.
    @inline(__always)
    static func valueEnd(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while end &- at >= 16 {
            let low = unsafe oddInValue(word(base, at))
            let high = unsafe oddInValue(word(base, at &+ 8))
            if low != 0 { return at &+ firstByte(low) }
            if high != 0 { return at &+ 8 &+ firstByte(high) }
            at &+= 16
        }
        if end &- at >= 8 {
            let hits = unsafe oddInValue(word(base, at))
            return at &+ (hits != 0 ? firstByte(hits) : 8)
        }
        return at
    }

    @inline(__always)
    private static func oddInValue(_ word: UInt64) -> UInt64 { ((word &- ones &* 0x20) | (word &+ ones)) & tops }

    /// The first byte from `at` that may not stand in a field value: a control character other than tab, or DEL
    /// (RFC 9110 section 5.5). `end` when there is none.
    @inline(never)
    static func valueEndByBytes(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while at < end {
            let byte = unsafe base.load(fromByteOffset: at, as: UInt8.self)
            if byte == 0x7F || (byte < 0x20 && byte != ASCII.tab) { return at }
            at &+= 1
        }
        return at
    }

    /// The first byte from `at` that may not stand in a request target: anything but visible ASCII, and `#`.
    @inline(__always)
    static func targetEnd(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while end &- at >= 8 {
            let word = unsafe word(base, at)
            let hits = ((word &- ones &* 0x21) | (word &+ ones) | ((word ^ ones &* 0x23) &- ones)) & tops
            if hits != 0 { return at &+ firstByte(hits) }
            at &+= 8
        }
        while at < end {
            let byte = unsafe base.load(fromByteOffset: at, as: UInt8.self)
            if byte &- 0x21 >= 0x5E || byte == 0x23 { return at }
            at &+= 1
        }
        return at
    }

    /// The first colon from `at`, or a byte above ASCII in front of it; `end` when there is neither.
    @inline(__always)
    static func colon(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while end &- at >= 8 {
            let hits = unsafe ((word(base, at) ^ ones &* 0x3A) &- ones) & tops
            if hits != 0 { return at &+ firstByte(hits) }
            at &+= 8
        }
        while at < end, unsafe base.load(fromByteOffset: at, as: UInt8.self) != 0x3A { at &+= 1 }
        return at
    }

    /// The first `?` in a target from `at`; `end` when there is none.
    @inline(__always)
    static func query(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while end &- at >= 8 {
            let hits = unsafe ((word(base, at) ^ ones &* 0x3F) &- ones) & tops
            if hits != 0 { return at &+ firstByte(hits) }
            at &+= 8
        }
        while at < end, unsafe base.load(fromByteOffset: at, as: UInt8.self) != 0x3F { at &+= 1 }
        return at
    }

    /// The first byte from `at` that is no letter, digit or hyphen; `end` when there is none. At least eight bytes must
    /// be readable in front of `end`.
    @inline(__always)
    static func plainEnd(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        while at < end {
            let word = unsafe tail(base, at, end)
            let hits = (word | ~(alphanumeric(word) | ~((word ^ ones &* 0x2D) &+ ones &* 0x7F))) & tops
            if hits != 0 { return min(at &+ firstByte(hits), end) }
            at &+= 8
        }
        return end
    }

    /// Whether all bytes are visible ASCII without `%`, `\\`, `?` and `#`, and no slash is followed by a slash or a dot.
    @inline(__always)
    static func isNormalPath(_ base: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 8 else {
            var previous: UInt8 = 0
            for at in 0..<count {
                let byte = unsafe base.load(fromByteOffset: at, as: UInt8.self)
                if byte &- 0x21 >= 0x5E || byte == 0x25 || byte == 0x5C || byte == 0x3F || byte == 0x23 { return false }
                if previous == 0x2F, byte | 1 == 0x2F { return false }
                previous = byte
            }
            return true
        }
        // Seven bytes further each time, so that every two neighbours are in one word.
        var at = 0
        while count &- at > 8 {
            if unsafe oddInPath(word(base, at)) != 0 { return false }
            at &+= 7
        }
        return unsafe oddInPath(word(base, count &- 8)) == 0
    }

    @inline(__always)
    private static func oddInPath(_ word: UInt64) -> UInt64 {
        let range = (word &- ones &* 0x21) | (word &+ ones)
        let escapes = ((word ^ ones &* 0x25) &- ones) | ((word ^ ones &* 0x5C) &- ones)
        let ends = ((word ^ ones &* 0x3F) &- ones) | ((word ^ ones &* 0x23) &- ones)
        // Exact for ASCII, and a byte above it is a hit already. `.` and `/` differ in their lowest bit.
        let isSlash = ~((word ^ ones &* 0x2F) &+ ones &* 0x7F)
        let isSlashOrDot = ~(((word | ones) ^ ones &* 0x2F) &+ ones &* 0x7F)
        return (range | escapes | ends | ((isSlash & tops) &<< 8 & isSlashOrDot)) & tops
    }

    /// Eight bytes from `at`, zeros from `end` on: the last bytes are read with those in front of them, which are
    /// shifted out again.
    @inline(__always)
    private static func tail(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> UInt64 {
        let count = end &- at
        if count >= 8 { return unsafe word(base, at) }
        return unsafe word(base, end &- 8) &>> UInt64(truncatingIfNeeded: 64 &- 8 &* count)
    }

    /// The top bit of each byte that is an ASCII letter or digit.
    @inline(__always)
    private static func alphanumeric(_ word: UInt64) -> UInt64 {
        let letters = word | ones &* 0x20
        let isLetter = (letters &+ ones &* (0x80 - 0x61)) & ~(letters &+ ones &* (0x80 - 0x7B))
        let isDigit = (word &+ ones &* (0x80 - 0x30)) & ~(word &+ ones &* (0x80 - 0x3A))
        return isLetter | isDigit
    }

    /// The first byte from `at` that is no letter, digit, hyphen, underscore or dot, or a dot behind another dot or in
    /// front of everything; `end` when there is none. At least eight bytes must be readable in front of `end`.
    @inline(__always)
    static func hostEnd(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int {
        var at = at
        var dotBefore: UInt64 = 0x80
        while at < end {
            let word = unsafe tail(base, at, end)
            let isNotHyphen = (word ^ ones &* 0x2D) &+ ones &* 0x7F
            let isNotUnderscore = (word ^ ones &* 0x5F) &+ ones &* 0x7F
            let isDot = ~((word ^ ones &* 0x2E) &+ ones &* 0x7F) & tops
            let good = alphanumeric(word) | ~isNotHyphen | ~isNotUnderscore | isDot
            let hits = (word | ~good | (isDot & (isDot &<< 8 | dotBefore))) & tops
            if hits != 0 { return min(at &+ firstByte(hits), end) }
            dotBefore = isDot &>> 56
            at &+= 8
        }
        return end
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these are exactly the bytes of `text`.
    @inline(__always)
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for i in 0..<count where unsafe self[i] != text.utf8Start[i] { return false }
        return true
    }
}
