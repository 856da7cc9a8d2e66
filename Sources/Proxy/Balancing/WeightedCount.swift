import Synchronization

/// How many of something a tenant has, over all loops, and the weight that it had when it got the first of them.
struct WeightedCount: ~Copyable, Sendable {
    /// How many, above it the weight.
    private let word = Atomic<UInt64>(0)

    var count: Int { Int(word.load(ordering: .relaxed) & 0xFFFF_FFFF) }

    /// - Returns: the weight that counts from now on; nil where it did before.
    func join(_ weight: Int64) -> UInt64? {
        var before = word.load(ordering: .relaxed)
        while true {
            let isFirst = before == 0
            let next = isFirst ? UInt64(weight) << 32 | 1 : before + 1
            let (isDone, found) = word.weakCompareExchange(expected: before, desired: next, ordering: .relaxed)
            if isDone { return isFirst ? UInt64(weight) : nil }
            before = found
        }
    }

    /// - Returns: the weight that counts no more; nil where it still does.
    func leave() -> UInt64? {
        var before = word.load(ordering: .relaxed)
        while true {
            let isLast = before & 0xFFFF_FFFF == 1
            let (isDone, found) = word.weakCompareExchange(
                expected: before, desired: isLast ? 0 : before - 1, ordering: .relaxed)
            if isDone { return isLast ? before >> 32 : nil }
            before = found
        }
    }
}
