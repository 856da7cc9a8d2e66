import Synchronization

/// What tenants have of one upstream while there is too little of it for all: who waits, and whose turn was how long. Of all
/// loops together and without a lock on a request's way, so that a tenant whose clients are all on one loop has its part too.
///
/// **Turns** go by start-time fair queuing. A turn costs the time for which it holds a connection, divided by its tenant's
/// weight, and next is the tenant that has paid least. It pays what its turns take in the mean when one begins, and the
/// difference at the end. Who comes to wait has missed nothing before: it starts where those are who are served now.
///
/// **Places in the line** are everybody's while there are some. When there are none, a tenant may have as many as its weight
/// gives it among those who wait, and one in any case as long as there are more places than tenants.
final class TenantParts: Sendable {
    /// What has been paid by whoever was served last: all times here are units of 16 ns for a weight of one.
    private let clock = Atomic<Int64>(0)
    /// The most that anybody has paid.
    private let latest = Atomic<Int64>(0)
    /// Connections that are held by turns.
    private let holds = Atomic<Int>(0)
    /// What a turn takes, of all tenants, in nanoseconds.
    private let mean = Atomic<Int64>(10_000_000)
    /// Of the tenants that wait: how many, above the sum of their weights.
    private let totals = Atomic<UInt64>(0)
    private let known = Mutex(Known())

    private static let one: UInt64 = 1 << 40
    private static let unit: Int64 = 16
    private struct Known {
        var parts: [String: TenantPart] = [:]
        /// Parts that nobody uses any more go when there are so many.
        var most = TenantParts.partsMax
    }

    private static let partsMax = 4096

    /// That of the tenant of that id. Asked once by a loop, when the tenant first waits there.
    func part(of tenant: String) -> TenantPart {
        known.withLock { known in
            if let part = known.parts[tenant] { return part }
            if known.parts.count >= known.most { Self.forget(&known) }
            let part = TenantPart(mean: mean.load(ordering: .relaxed))
            known.parts[tenant] = part
            return part
        }
    }

    private static func forget(_ known: inout Known) {
        var unused: [String] = []
        var at = known.parts.startIndex
        while at != known.parts.endIndex {
            if isKnownUniquelyReferenced(&known.parts.values[at]) { unused.append(known.parts[at].key) }
            known.parts.formIndex(after: &at)
        }
        for id in unused { known.parts[id] = nil }
        // Where loops use that many, not each one that comes next has all of them looked through.
        known.most = max(partsMax, 2 * known.parts.count)
    }

    // MARK: Places in the line

    /// Another of its requests waits. `left` is owed for it.
    func joined(_ part: TenantPart, weight: Int64) {
        if let first = part.line.join(weight) { totals.add(Self.one + first, ordering: .relaxed) }
    }

    /// One of its requests waits no more.
    func left(_ part: TenantPart) {
        guard let last = part.line.leave() else { return }
        let after = totals.subtract(Self.one + last, ordering: .relaxed).newValue
        // Nobody waits: what was paid is forgotten.
        if after == 0 { clock.max(latest.load(ordering: .relaxed), ordering: .relaxed) }
    }

    /// Whether a tenant may have one more place of a line of `size` that is full.
    func isEntitled(_ part: TenantPart, weight: Int64, size: Int) -> Bool {
        let own = part.waiting
        let all = totals.load(ordering: .relaxed)
        let (tenants, weights) = (Int(all >> 40), Int(all & (Self.one - 1)) + (own == 0 ? Int(weight) : 0))
        if own == 0, tenants < size { return true }
        return (own + 1) * weights <= size * Int(weight)
    }

    /// By how much a tenant has more than its part of a line of `size`; nil where it has no more than that, or one.
    func excess(of part: TenantPart, weight: Int64, size: Int) -> Int? {
        let own = part.waiting
        let weights = Int(totals.load(ordering: .relaxed) & (Self.one - 1))
        guard own > 1, own * weights > size * Int(weight) else { return nil }
        return own * 1000 / Int(weight)
    }

    // MARK: Turns

    /// It has waited for nothing until now.
    func begins(_ part: TenantPart) { part.paid.max(clock.load(ordering: .relaxed), ordering: .relaxed) }

    /// One of its requests is served from now on.
    /// - Parameter now: monotonic nanoseconds, as below.
    func serve(_ part: TenantPart, weight: Int64, now: UInt64) -> FairTurn {
        let charge = max(1, part.mean.load(ordering: .relaxed) / Self.unit / weight)
        let (before, after) = part.paid.add(charge, ordering: .relaxed)
        clock.max(before, ordering: .relaxed)
        latest.max(after, ordering: .relaxed)
        return begin(FairTurn(part: part, weight: weight, began: now, charge: charge))
    }

    /// One of its requests has a connection for which it has not waited: it costs nothing.
    func hold(_ part: TenantPart, now: UInt64) -> FairTurn { begin(FairTurn(part: part, weight: 0, began: now, charge: 0)) }

    private func begin(_ turn: FairTurn) -> FairTurn {
        turn.part.holds.add(1, ordering: .relaxed)
        holds.add(1, ordering: .relaxed)
        return turn
    }

    /// Whether a tenant has as many connections as are so many per cent of those that there are. One it may have.
    func hasShare(_ part: TenantPart, _ percent: Int) -> Bool {
        if percent >= 100 { return false }
        let own = part.holds.load(ordering: .relaxed)
        // The one that is free now is the next one's.
        return own > 0 && (own + 1) * 100 > (holds.load(ordering: .relaxed) + 1) * percent
    }

    /// The turn is over: it has cost what it has taken.
    func ended(_ turn: FairTurn, now: UInt64) {
        turn.part.holds.subtract(1, ordering: .relaxed)
        holds.subtract(1, ordering: .relaxed)
        if turn.weight == 0 { return }
        let time = Int64(min(now &- turn.began, FairTurn.longest))
        turn.part.paid.add(max(1, time / Self.unit / turn.weight) - turn.charge, ordering: .relaxed)
        latest.max(turn.part.paid.load(ordering: .relaxed), ordering: .relaxed)
        // Two loops at once may forget one of two turns, which a mean can bear.
        let (own, all) = (turn.part.mean.load(ordering: .relaxed), mean.load(ordering: .relaxed))
        turn.part.mean.store(own + (time - own) / 8, ordering: .relaxed)
        mean.store(all + (time - all) / 32, ordering: .relaxed)
    }
}

/// What one tenant has of one upstream, over all loops.
final class TenantPart: Sendable {
    /// Its requests that wait.
    fileprivate let line = WeightedCount()
    /// Its requests that are under way, where those are bounded.
    let underWay = WeightedCount()
    /// For its turns.
    let paid = Atomic<Int64>(0)
    /// Connections of which it is known that they are its.
    fileprivate let holds = Atomic<Int>(0)
    /// What one of them takes, in nanoseconds.
    let mean: Atomic<Int64>

    init(mean: Int64) { self.mean = Atomic(mean) }

    /// Its requests that wait.
    var waiting: Int { line.count }
}

/// The time for which a request that has waited holds what it has waited for.
struct FairTurn {
    let part: TenantPart
    /// Zero for a turn that costs nothing.
    let weight: Int64
    /// Monotonic nanoseconds.
    let began: UInt64
    /// What was paid for it in advance.
    let charge: Int64

    /// No turn costs more, in nanoseconds: for a download that takes an hour nobody is to be last for an hour.
    static let longest: UInt64 = 10_000_000_000
}
