import Synchronization

/// How many of something there are, over all loops together. Taken and given back without a lock: a loop that finds the
/// bound reached has changed nothing.
public struct SharedCount: ~Copyable, Sendable {
    private let taken = Atomic<Int>(0)

    public init() {}

    public var count: Int { taken.load(ordering: .relaxed) }

    /// Takes one. False where there are `most` already.
    public func take(upTo most: Int) -> Bool {
        var before = taken.load(ordering: .relaxed)
        while before < most {
            let (isDone, found) = taken.weakCompareExchange(expected: before, desired: before + 1, ordering: .relaxed)
            if isDone { return true }
            before = found
        }
        return false
    }

    /// Takes one in any case.
    public func takeBeyond() { taken.add(1, ordering: .relaxed) }

    /// Of one that was taken, where there are more than `most`.
    public func giveBack(beyond most: Int) -> Bool {
        var before = taken.load(ordering: .relaxed)
        while before > most {
            let (isDone, found) = taken.weakCompareExchange(expected: before, desired: before - 1, ordering: .relaxed)
            if isDone { return true }
            before = found
        }
        return false
    }

    /// Of one that was taken.
    public func giveBack() { taken.subtract(1, ordering: .relaxed) }
}
