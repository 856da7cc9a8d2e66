/// The text of JSON strings (RFC 8259 section 7). Quotes, backslashes and control characters (DEL and U+0080 to U+009F
/// too: a terminal obeys them) are escaped, and what is not UTF-8 becomes U+FFFD, so that the result is valid whatever
/// a stranger sent.
public enum JSONText {
    /// What `write` may touch: the longest escape is six bytes for one, and the last store is a whole word.
    @inline(__always)
    public static func room(for count: Int) -> Int { 6 * count + 8 }

    /// Writes `bytes` to `target`, which has `room(for: bytes.count)`, without quotes, and returns the place after
    /// them.
    ///
    /// Eight bytes at a time are copied and looked at on the way: nearly all are as they should be.
    @inline(__always)
    public static func write(
        _ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        // Reads from `from` up to `end` only; what is written never goes beyond the room, whose size is the worst case.
        guard let start = bytes.baseAddress else { return unsafe target }
        let end = unsafe start + bytes.count
        var (from, to) = unsafe (start, target)
        while unsafe from < end {
            let word = unsafe word(from, before: end, of: bytes.count)
            unsafe to.storeBytes(of: word, as: UInt64.self)
            let special = special(word)
            if special == 0 {
                unsafe from += 8
                unsafe to += 8
                if unsafe from <= end { continue }
                return unsafe to - (from - end)
            }
            let plain = special.trailingZeroBitCount / 8
            unsafe (from, to) = escape(from + plain, end, to + plain)
        }
        return unsafe to
    }

    /// Where the first byte stands that is not plain ASCII text, from `start` on, or the end of `bytes`.
    @inline(__always)
    static func plainEnd(of bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var at = start
        while at < bytes.count {
            let special = unsafe special(word(base + at, before: base + bytes.count, of: bytes.count))
            if special != 0 { return at + special.trailingZeroBitCount / 8 }
            at += 8
        }
        return bytes.count
    }

    /// The bytes at `from` as a word, filled up with spaces where fewer than eight are left. Never reads outside the
    /// `count` bytes that end at `end`.
    @inline(__always)
    private static func word(_ from: UnsafeRawPointer, before end: UnsafeRawPointer, of count: Int) -> UInt64 {
        let rest = unsafe end - from
        return unsafe rest >= 8 ? from.loadUnaligned(as: UInt64.self) : last(rest, before: end, of: count)
    }

    /// The last `rest` bytes, one to seven, as the lowest of a word that is filled up with spaces. Never reads outside
    /// the `count` bytes that end at `end`.
    @inline(__always)
    private static func last(_ rest: Int, before end: UnsafeRawPointer, of count: Int) -> UInt64 {
        let bits = UInt64(truncatingIfNeeded: 8 &* rest)
        let word: UInt64
        if count >= 8 {
            word = unsafe (end - 8).loadUnaligned(as: UInt64.self) &>> (64 &- bits)
        } else if rest >= 4 {
            let low = unsafe (end - rest).loadUnaligned(as: UInt32.self)
            let high = unsafe (end - 4).loadUnaligned(as: UInt32.self)
            word = UInt64(low) | UInt64(high) &<< (bits &- 32)
        } else {
            let low = unsafe (end - rest).load(as: UInt8.self)
            let middle = unsafe (end - (rest &+ 1) / 2).load(as: UInt8.self)
            let high = unsafe (end - 1).load(as: UInt8.self)
            word = UInt64(low) | UInt64(middle) &<< (bits / 2 & 0x38) | UInt64(high) &<< (bits &- 8)
        }
        return word | 0x2020_2020_2020_2020 &<< bits
    }

    /// The high bit of each byte that is a control, a quote, a backslash, DEL or not ASCII. A borrow or a carry may
    /// also flag bytes after the first, never before it: the first is exact.
    @inline(__always)
    private static func special(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = (word ^ (ones &* 0x22)) &- ones
        let backslashes = (word ^ (ones &* 0x5C)) &- ones
        let controls = word &- ones &* 0x20
        let deletes = word &+ ones
        // What one of these flags beside what it looks for has its own high bit set, and so is special too.
        return (quotes | backslashes | controls | deletes | word) & (ones &* 0x80)
    }

    /// Writes what stands at `from` in a form that JSON allows; returns the places after it.
    @inline(never)
    private static func escape(
        _ from: UnsafeRawPointer, _ end: UnsafeRawPointer, _ to: UnsafeMutableRawPointer
    ) -> (UnsafeRawPointer, UnsafeMutableRawPointer) {
        let rest = unsafe UnsafeRawBufferPointer(start: from, count: end - from)
        let byte = unsafe rest[0]
        let letter: UInt8
        switch byte {
        case 0x22, 0x5C: letter = byte
        case 0x08: letter = 0x62
        case 0x09: letter = 0x74
        case 0x0A: letter = 0x6E
        case 0x0C: letter = 0x66
        case 0x0D: letter = 0x72
        case ..<0x80: return unsafe (from + 1, unicodeEscape(byte, to))
        default:
            let (length, valid) = unsafe utf8Sequence(rest)
            if !valid {
                unsafe to.copyMemory(from: "\u{FFFD}" as StaticString)
                return unsafe (from + length, to + 3)
            }
            if byte == 0xC2, unsafe rest[1] < 0xA0 { return unsafe (from + 2, unicodeEscape(rest[1], to)) }
            unsafe to.copyMemory(from: from, byteCount: length)
            return unsafe (from + length, to + length)
        }
        unsafe to.storeBytes(of: 0x5C, as: UInt8.self)
        unsafe to.storeBytes(of: letter, toByteOffset: 1, as: UInt8.self)
        return unsafe (from + 1, to + 2)
    }

    private static func unicodeEscape(_ value: UInt8, _ to: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        let digits: StaticString = "0123456789abcdef"
        unsafe to.copyMemory(from: "\\u00" as StaticString)
        unsafe to.storeBytes(of: digits.utf8Start[Int(value >> 4)], toByteOffset: 4, as: UInt8.self)
        unsafe to.storeBytes(of: digits.utf8Start[Int(value & 15)], toByteOffset: 5, as: UInt8.self)
        return unsafe to + 6
    }

    /// The length of the UTF-8 sequence at the front (Unicode 16.0, table 3-7), or of the longest start of one, which
    /// is then replaced as a whole.
    static func utf8Sequence(_ bytes: UnsafeRawBufferPointer) -> (length: Int, valid: Bool) {
        let lead = unsafe bytes[0]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: length = 2
        case 0xE0...0xEF:
            length = 3
            if lead == 0xE0 { second = 0xA0...0xBF }
            if lead == 0xED { second = 0x80...0x9F }
        case 0xF0...0xF4:
            length = 4
            if lead == 0xF0 { second = 0x90...0xBF }
            if lead == 0xF4 { second = 0x80...0x8F }
        default: return (1, false)
        }
        for i in 1..<length {
            let allowed = i == 1 ? second : 0x80...0xBF
            guard i < bytes.count, unsafe allowed.contains(bytes[i]) else { return (i, false) }
        }
        return (length, true)
    }
}

extension UnsafeMutableRawPointer {
    @inline(__always)
    fileprivate func copyMemory(from text: StaticString) {
        unsafe copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    }
}

extension ByteWriter {
    /// A JSON string, quotes included, made valid whatever the bytes are (`JSONText`).
    public mutating func append(jsonString bytes: UnsafeRawBufferPointer) {
        append(byte: 0x22)
        unsafe append(jsonText: bytes)
        append(byte: 0x22)
    }

    /// The same without quotes.
    public mutating func append(jsonText bytes: UnsafeRawBufferPointer) {
        let room = JSONText.room(for: bytes.count)
        if unsafe spare.count >= room {
            let start = unsafe base + count
            return unsafe produced(JSONText.write(bytes, to: start) - start)
        }
        // It may fit all the same: most texts need no escape.
        unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: 8) { region in
            guard let start = region.baseAddress else { return }
            unsafe append(start, JSONText.write(bytes, to: start) - start)
        }
    }
}
