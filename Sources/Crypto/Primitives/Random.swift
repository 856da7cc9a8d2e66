import COpenSSL

/// Random bytes.
public enum Random {
    /// For secrets.
    public static func bytes(_ count: Int) -> [UInt8] {
        // OpenSSL writes `count` bytes, and so many there are.
        var bytes = [UInt8](repeating: 0, count: count)
        let result = unsafe RAND_bytes(&bytes, Int32(count))
        precondition(result == 1, "no random bytes")
        return bytes
    }

    public static func word() -> UInt64 {
        bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// xoshiro256**: identifiers and choices, never secrets. One a loop, seeded from the system.
public struct FastRandom: Sendable {
    private var s: (UInt64, UInt64, UInt64, UInt64)

    public init() {
        s = (Random.word() | 1, Random.word(), Random.word(), Random.word())
    }

    @inline(__always)
    public mutating func next() -> UInt64 {
        func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { x << k | x >> (64 - k) }
        let result = rotate(s.1 &* 5, 7) &* 9
        let t = s.1 << 17
        s.2 ^= s.0
        s.3 ^= s.1
        s.1 ^= s.2
        s.0 ^= s.3
        s.2 ^= t
        s.3 = rotate(s.3, 45)
        return result
    }
}

/// Comparison that takes the same time wherever the bytes differ. The length is not secret.
public func equalInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    unsafe a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}
