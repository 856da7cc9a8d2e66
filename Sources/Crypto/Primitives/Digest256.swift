import Base

/// The 32 bytes of a SHA-256, as words that compare and hash fast.
public struct Digest256: Sendable, Hashable, BitwiseCopyable {
    /// In the order of the bytes, each in the machine's byte order.
    public var words: (UInt64, UInt64, UInt64, UInt64)

    @inline(__always)
    public init(words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)) { self.words = words }

    /// Exactly 32 bytes; nil for any other number.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        words = (0, 0, 0, 0)
        // Four words are 32 bytes, and they may be any.
        unsafe withUnsafeMutableBytes(of: &words) { unsafe $0.copyBytes(from: bytes) }
    }

    /// 64 hexadecimal digits in either case; nil for anything else.
    public init?(hexadecimal text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        for at in stride(from: 0, to: 64, by: 2) {
            guard let high = ASCII.hexValue(digits[at]), let low = ASCII.hexValue(digits[at + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        self.init(bytes)
    }

    public var bytes: [UInt8] { unsafe withUnsafeBytes(of: words) { unsafe Array($0) } }

    /// Lower-case hexadecimal.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    @inline(__always)
    public static func == (a: Digest256, b: Digest256) -> Bool {
        // Without a branch that depends on where they differ.
        (a.words.0 ^ b.words.0) | (a.words.1 ^ b.words.1) | (a.words.2 ^ b.words.2) | (a.words.3 ^ b.words.3) == 0
    }

    @inline(__always)
    public func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}
