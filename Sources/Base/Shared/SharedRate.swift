import Synchronization

/// So many a second, over all loops together and without a lock.
public struct SharedRate: ~Copyable, Sendable {
    /// The second, above the 16 bits of how many it has had.
    private let state = Atomic<UInt64>(0)

    public init() {}

    /// Takes one. False where this second has had `most` already.
    /// - Parameters:
    ///   - most: less than 65536.
    ///   - now: monotonic nanoseconds.
    public func take(upTo most: Int, now: UInt64) -> Bool {
        let second = now / 1_000_000_000
        var before = state.load(ordering: .relaxed)
        while true {
            let count = before >> 16 >= second ? Int(before & 0xFFFF) : 0
            if count >= most { return false }
            let (isDone, found) = state.weakCompareExchange(
                expected: before, desired: max(second, before >> 16) << 16 | UInt64(count + 1), ordering: .relaxed)
            if isDone { return true }
            before = found
        }
    }
}
