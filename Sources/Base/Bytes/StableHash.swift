/// A hash that is the same in every process, on every machine and in every version: for what must be found again by another
/// loop, another gateway or after a restart. Strangers can choose what collides; whoever uses it bounds what that does.
public struct StableHash {
    /// Odd, of the golden ratio.
    public static let odd: UInt64 = 0x9E37_79B9_7F4A_7C15
    private var state: UInt64
    private var count: UInt64 = 0

    /// - Parameter seed: what tells kinds of keys apart.
    public init(seed: UInt64 = 0) { state = seed }

    public mutating func add(_ word: UInt64) {
        state = Self.mix(state ^ word) &+ Self.odd
        count += 8
    }

    public mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var at = 0
        while at + 8 <= bytes.count {
            unsafe add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
            at += 8
        }
        var rest: UInt64 = 0
        for i in at..<bytes.count { unsafe rest = rest << 8 | UInt64(bytes[i]) }
        state = Self.mix(state ^ rest) &+ Self.odd
        count += UInt64(bytes.count - at)
    }

    public var value: UInt64 { Self.mix(state ^ count) }

    public static func of(_ text: String) -> UInt64 {
        var hash = StableHash()
        var text = text
        text.withUTF8 { unsafe hash.add(UnsafeRawBufferPointer($0)) }
        return hash.value
    }

    /// Every bit of the result depends on every bit of the word (the last step of MurmurHash3).
    @inlinable
    public static func mix(_ word: UInt64) -> UInt64 {
        var word = word
        word = (word ^ word >> 33) &* 0xFF51_AFD7_ED55_8CCD
        word = (word ^ word >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return word ^ word >> 33
    }
}
