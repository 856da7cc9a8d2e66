import Synchronization

/// Retries are a share of requests, so that they can't multiply the load on a service that is already failing: one retry
/// for five requests, say, and ten a second for whoever has little traffic. Of all loops together, without a lock.
///
/// A tenant whose requests all fail would use up what is there for all. So the last few are kept for those who have had less
/// of this second's retries than others have in the mean; whoever is alone never needs them.
struct RetryBudget: ~Copyable, Sendable {
    /// What a retry costs: a request brings as many of it as are its per cent.
    private static let cost = 100
    private static let most = 100 * cost
    private static let perSecond = UInt64(10 * cost)
    /// Kept for who has had little.
    private static let reserve = 5 * cost
    private let saved = Atomic<Int>(10 * cost + reserve)
    private let refilled = Atomic<UInt64>(0)
    /// How many retries tenants have had, by classes of their tags, above it the second in which they had them.
    private let had = InlineArray<64, Atomic<UInt64>> { _ in Atomic(0) }
    private static let second: UInt64 = 1_000_000_000

    /// So many requests have come: a loop tells of some at once (`Earnings`).
    /// - Parameter percent: retries for a hundred of them.
    func earn(_ requests: Int, percent: Int = 20) {
        if saved.load(ordering: .relaxed) < Self.most + Self.reserve { saved.add(requests * percent, ordering: .relaxed) }
    }

    /// Takes one retry, where there is one.
    /// - Parameters:
    ///   - tenant: the tag of the one whose it is.
    ///   - now: monotonic nanoseconds.
    func spend(for tenant: UInt32 = 0, now: UInt64) -> Bool {
        let (place, second) = (Int(tenant) % had.count, now / Self.second)
        let usual = Self.cost + Self.reserve
        if saved.load(ordering: .relaxed) < usual { refill(now) }
        var before = saved.load(ordering: .relaxed)
        let least = before < usual && hasHadLittle(place, in: second) ? Self.cost : usual
        while before >= least {
            let (isDone, found) = saved.weakCompareExchange(expected: before, desired: before - Self.cost, ordering: .relaxed)
            if isDone {
                note(place, in: second)
                return true
            }
            before = found
        }
        return false
    }

    /// Less than those have in the mean who have had any in that second.
    private func hasHadLittle(_ place: Int, in second: UInt64) -> Bool {
        let own = count(place, in: second)
        if own == 0 { return true }
        var (all, those): (UInt64, UInt64) = (0, 0)
        for other in had.indices {
            let count = count(other, in: second)
            if count > 0 { (all, those) = (all + count, those + 1) }
        }
        return own * those < all
    }

    private func count(_ place: Int, in second: UInt64) -> UInt64 {
        let word = had[place].load(ordering: .relaxed)
        return word >> 24 == second ? word & 0xFF_FFFF : 0
    }

    private func note(_ place: Int, in second: UInt64) {
        var before = had[place].load(ordering: .relaxed)
        while true {
            let next = before >> 24 == second ? before + 1 : second << 24 | 1
            let (isDone, found) = had[place].weakCompareExchange(expected: before, desired: next, ordering: .relaxed)
            if isDone { return }
            before = found
        }
    }

    private func refill(_ now: UInt64) {
        let last = refilled.load(ordering: .relaxed)
        let from = max(last, now - min(now, Self.second))
        let gained = (now - min(from, now)) * Self.perSecond / Self.second
        guard gained > 0 else { return }
        // Who is second gains nothing. What is no whole one is left for the next time.
        if refilled.compareExchange(expected: last, desired: from + gained * Self.second / Self.perSecond, ordering: .relaxed).exchanged {
            saved.add(Int(gained), ordering: .relaxed)
        }
    }

    /// A loop's requests that its upstream's budget was not told of yet. A number of the loop alone is right here: it saves
    /// four of five changes of what all loops look at, and no more than four requests are ever missing.
    struct Earnings {
        private var requests = 0
        private static let together = 5

        /// A request has come.
        mutating func earn(for budget: borrowing RetryBudget, percent: Int = 20) {
            requests += 1
            if requests == Self.together { tell(budget, percent) }
        }

        private mutating func tell(_ budget: borrowing RetryBudget, _ percent: Int) {
            budget.earn(requests, percent: percent)
            requests = 0
        }
    }
}
