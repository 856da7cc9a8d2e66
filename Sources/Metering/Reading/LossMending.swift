/// A stretch of the ledger's lines that are not there, by their places.
struct Loss: Sendable {
    var node: UInt32
    var first: UInt64
    var last: UInt64
    /// The day that it is of, where something that can't be read stands in its place.
    var span: Range<UInt64>?
}

/// Follows accounts over what is lost: each line carries what was counted in all, so that the last one in front of a loss and
/// the first one behind it tell what was used between them, whatever days they are of.
struct LossMending {
    private struct Edge {
        var place: UInt64
        /// All that was used: up to the line in front, or before the one behind. nil where a sum does not tell.
        var sum: Usage?
        var counters = UsageCounters()
        /// When it ended, or began.
        var time: UInt64
        /// Of the line behind: the day of the one before it, where that is another.
        var dayBefore: UInt64?
    }
    private struct Sides {
        var before: Edge?
        var after: Edge?
    }

    private let losses: [Loss]
    private var accounts: [Account: [Sides]] = [:]
    /// When the nearest lines of anybody begin, in front of each loss and behind it.
    private var around: [Sides]
    private var isBroken = false

    /// - Parameter losses: in the order of their places.
    init(_ losses: [Loss]) {
        self.losses = losses
        around = losses.map { _ in Sides() }
    }

    /// To be called with every record that there is, in any order.
    /// - Parameter isInOrder: nothing was used between its first line and its last that is not in it.
    mutating func take(_ record: UsageRecord, isInOrder: Bool = true) {
        let first = record.rolledUp?.first ?? record.id
        for (index, loss) in losses.enumerated() where record.id.node == loss.node {
            if record.id.place < loss.first {
                set(&around[index].before, record.id.place, record.from, isLater: true)
                guard record.id.place >= accounts[record.account]?[index].before?.place ?? 0 else { continue }
                sides(record.account, index) { sides in
                    sides.before = Edge(place: record.id.place, sum: Usage(record.totals), time: record.to)
                }
            } else if first.node == loss.node, first.place > loss.last {
                set(&around[index].after, first.place, record.from, isLater: false, dayBefore: record.dayBefore)
                guard first.place <= accounts[record.account]?[index].after?.place ?? .max else { continue }
                let tells = isInOrder && first.epoch == record.id.epoch
                sides(record.account, index) { sides in
                    sides.after = Edge(
                        place: first.place, sum: tells ? record.begin : nil, counters: record.countersBefore, time: record.from)
                }
            } else {
                // A sum of what is in front and of what is behind: how much of it was where nobody knows.
                isBroken = true
            }
        }
    }

    private mutating func sides(_ account: Account, _ index: Int, _ change: (inout Sides) -> Void) {
        change(&accounts[account, default: losses.map { _ in Sides() }][index])
    }

    private func set(_ edge: inout Edge?, _ place: UInt64, _ time: UInt64, isLater: Bool, dayBefore: UInt64? = nil) {
        if let known = edge, isLater ? known.place >= place : known.place <= place { return }
        edge = Edge(place: place, time: time, dayBefore: dayBefore)
    }

    struct Result {
        /// What is missing, as records without ids.
        var missing: [UsageRecord] = []
        /// All accounts were followed from one side to the other.
        var isProven: Bool
        /// In which period of the question something was used does not depend on when exactly.
        var isCertain = true
    }

    /// - Parameter memory: knows the counters at each account's last line.
    func result(_ query: UsageQuery, _ memory: LedgerMemory?) -> Result {
        var result = Result(isProven: !isBroken, isCertain: !isBroken)
        for account in Set(accounts.keys).union(memory.map { Array($0.totals.keys) } ?? []).sorted(by: Account.isBefore) {
            let all = accounts[account] ?? losses.map { _ in Sides() }
            var index = 0
            while index < all.count {
                // Losses with nothing of the account between them are one to it.
                var end = index
                while end + 1 < all.count, all[end + 1].before?.place == all[index].before?.place,
                    losses[end + 1].node == losses[index].node
                {
                    end += 1
                }
                follow(account, all[index].before, all[end].after, index...end, query, memory, &result)
                index = end + 1
            }
        }
        return result
    }

    private func follow(
        _ account: Account, _ before: Edge?, _ after: Edge?, _ places: ClosedRange<Int>, _ query: UsageQuery,
        _ memory: LedgerMemory?, _ result: inout Result
    ) {
        // Whoever has no line before it had used nothing.
        let sum = before?.sum ?? Usage()
        var (usage, counters) = (Usage(), UsageCounters())
        if let after {
            guard let begin = after.sum else { return result.isProven = false }
            // Counted from nothing again: another slot.
            if begin == Usage() || begin == sum { return }
            (usage, counters) = (begin.minus(sum), after.counters)
            guard usage.isAmount else { return result.isProven = false }
        } else if let memory, memory.node == losses[places.lowerBound].node, let said = memory.totals[account] {
            (usage, counters) = (Usage(said).minus(sum), said)
            // It was asked a moment before the files were read: then they say more.
            if usage == Usage() || !usage.isAmount { return }
        } else {
            return result.isProven = false
        }
        let (one, other) = (around[places.lowerBound].before, around[places.upperBound].after)
        var from = max(one?.time ?? 0, 0)
        var to = other?.time ?? max(memory?.closed ?? 0, from)
        if let end = before?.time, end > from, end <= to { from = end }
        var isKnown = one != nil && (other != nil || memory != nil)
        if let span = losses[places.lowerBound].span, losses[places].allSatisfy({ $0.span == span }) {
            (from, to, isKnown) = (max(from, span.lowerBound), min(to, span.upperBound - 1), true)
        } else if let one, let day = other?.dayBefore {
            // The last of them was of that day, and it may be another than those of the lines around.
            let span = Period.day.bounds(of: day)
            if day < one.time - one.time % Timestamp.day || day > to {
                (from, to) = (span.lowerBound, span.upperBound - 1)
            } else {
                to = min(to, span.upperBound - 1)
            }
            isKnown = true
        }
        isKnown = isKnown && from <= to
        if let by = query.by, !isKnown || !by.bounds(of: from).contains(to) { result.isCertain = false }
        for bound in [query.from, query.to] {
            if let bound, !isKnown || from < bound && bound <= to { result.isCertain = false }
        }
        if !isKnown, one == nil, let other { from = other.time }
        result.missing.append(
            UsageRecord(
                id: RecordID(node: 0, place: 0), account: account, from: from, to: max(from, to), usage: usage, inFlight: 0,
                totals: counters))
    }
}

extension Account {
    static func isBefore(_ one: Account, _ other: Account) -> Bool { (one.tenant, one.key ?? "") < (other.tenant, other.key ?? "") }
}

extension UsageRecord {
    /// All that was used before its interval.
    var begin: Usage { Usage(totals).minus(usage) }

    /// The counters before its interval; of microseconds only whole milliseconds are known.
    var countersBefore: UsageCounters { UsageCounters(begin) }
}

extension Usage {
    /// All that counters have counted.
    init(_ counters: UsageCounters) { self.init(from: UsageCounters(), to: counters) }

    func minus(_ other: Usage) -> Usage {
        var rest = self
        rest.admitted &-= other.admitted
        for index in status.indices { rest.status[index] &-= other.status[index] }
        for index in refused.indices { rest.refused[index] &-= other.refused[index] }
        rest.shadowRefused &-= other.shadowRefused
        rest.uncharged &-= other.uncharged
        rest.requestBytes &-= other.requestBytes
        rest.responseBytes &-= other.responseBytes
        rest.upstreamMilliseconds &-= other.upstreamMilliseconds
        rest.cost &-= other.cost
        return rest
    }

    /// Nothing of it is less than nothing, but for the cost, which is given back at times.
    var isAmount: Bool {
        var all: UInt64 = admitted | shadowRefused | uncharged | requestBytes | responseBytes | upstreamMilliseconds
        for index in status.indices { all |= status[index] }
        for index in refused.indices { all |= refused[index] }
        return all < 1 << 63
    }
}

extension UsageCounters {
    /// The counters that have counted it.
    init(_ usage: Usage) {
        self.init()
        self[.admitted] = usage.admitted
        for index in usage.status.indices { words[Counter.status1xx.rawValue + index] = usage.status[index] }
        for index in usage.refused.indices { words[Counter.refusedByRate.rawValue + index] = usage.refused[index] }
        self[.shadowRefused] = usage.shadowRefused
        self[.uncharged] = usage.uncharged
        self[.requestBytes] = usage.requestBytes
        self[.responseBytes] = usage.responseBytes
        self[.upstreamMicroseconds] = usage.upstreamMilliseconds &* 1000
        self[.cost] = UInt64(bitPattern: usage.cost)
    }
}
