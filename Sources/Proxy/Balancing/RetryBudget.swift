import Synchronization

/// Retries are a share of requests, so that they can't multiply the load on a service that is already failing: one retry
/// for five requests, and ten a second for whoever has little traffic. Of all loops together, without a lock.
struct RetryBudget: ~Copyable, Sendable {
    /// What a retry costs, in requests.
    static let cost = 5
    private static let most = 500
    private static let perSecond: UInt64 = 50
    private let saved = Atomic<Int>(50)
    private let refilled = Atomic<UInt64>(0)

    /// So many requests have come: a loop tells of some at once (`Earnings`).
    func earn(_ requests: Int) {
        if saved.load(ordering: .relaxed) < Self.most { saved.add(requests, ordering: .relaxed) }
    }

    /// Takes one retry, where there is one.
    /// - Parameter now: monotonic nanoseconds.
    func spend(now: UInt64) -> Bool {
        if saved.load(ordering: .relaxed) < Self.cost { refill(now) }
        var before = saved.load(ordering: .relaxed)
        while before >= Self.cost {
            let (isDone, found) = saved.weakCompareExchange(expected: before, desired: before - Self.cost, ordering: .relaxed)
            if isDone { return true }
            before = found
        }
        return false
    }

    private func refill(_ now: UInt64) {
        let last = refilled.load(ordering: .relaxed)
        let second: UInt64 = 1_000_000_000
        let from = max(last, now - min(now, second))
        let gained = (now - min(from, now)) * Self.perSecond / second
        guard gained > 0 else { return }
        // Who is second gains nothing. What is no whole one is left for the next time.
        if refilled.compareExchange(expected: last, desired: from + gained * second / Self.perSecond, ordering: .relaxed).exchanged {
            saved.add(Int(gained), ordering: .relaxed)
        }
    }

    /// A loop's requests that its upstream's budget was not told of yet. A number of the loop alone is right here: it saves
    /// four of five changes of what all loops look at, and no more than four requests are ever missing.
    struct Earnings {
        private var requests = 0

        /// A request has come.
        mutating func earn(for budget: borrowing RetryBudget) {
            requests += 1
            if requests == RetryBudget.cost { tell(budget) }
        }

        private mutating func tell(_ budget: borrowing RetryBudget) {
            budget.earn(requests)
            requests = 0
        }
    }
}
