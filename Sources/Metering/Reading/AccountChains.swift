import Storage

/// Follows accounts through the ledger by their totals: what a line says was counted when it ended is what was counted when
/// the account's next line began. Where it isn't, lines of that account are missing between the two, whatever happened to
/// their ids and whatever days they are of.
///
/// Only what does not fit is kept, so that it takes the room of the accounts and of what is missing, not of the lines.
struct AccountChains {
    /// Lines of an account without anything missing between them.
    struct Run {
        /// Places of the first and the last.
        var first: UInt64
        var last: UInt64
        /// What was used before the first; nil where a sum does not tell.
        var begin: Usage?
        /// What was used up to the end of the last.
        var end: Usage
        /// When the first began, and the last began and ended.
        var from: UInt64
        var lastFrom: UInt64
        var to: UInt64
        /// Sums of it hold lines of other times: whether something is missing inside it nobody knows.
        var isMixed: Bool
    }
    struct Key: Hashable {
        var account: Account
        var node: UInt32
    }
    private(set) var runs: [Key: [Run]] = [:]

    /// In any order.
    /// - Parameter isInOrder: nothing was used between its first line and its last that is not in it.
    mutating func take(_ record: UsageRecord, isInOrder: Bool = true) {
        let first = record.rolledUp?.first ?? record.id
        // Of a sum of several openings, or of two times, nobody knows what was before which of them.
        let tells =
            isInOrder && first.node == record.id.node && first.epoch == record.id.epoch
            && first.place <= record.id.place
        let run = Run(
            first: first.node == record.id.node ? min(first.place, record.id.place) : 0, last: record.id.place,
            begin: tells ? record.begin : nil, end: Usage(record.totals), from: record.from,
            lastFrom: record.from, to: record.to, isMixed: !tells)
        add(run, Key(account: record.account, node: record.id.node))
        if first.node != record.id.node {
            // Of the other table's lines it holds the last ones.
            let rest = Run(
                first: first.place, last: .max, begin: nil, end: Usage(), from: record.from,
                lastFrom: record.from, to: record.to, isMixed: true)
            add(rest, Key(account: record.account, node: first.node))
        }
    }

    private mutating func add(_ run: Run, _ key: Key) { Self.add(run, to: &runs[key, default: []]) }

    private static func add(_ run: Run, to runs: inout [Run]) {
        // The first that does not end before it.
        var (low, high) = (0, runs.count)
        if let last = runs.last, last.last < run.first { low = high }
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].last < run.first { low = middle + 1 } else { high = middle }
        }
        var (merged, end) = (run, low)
        while end < runs.count, runs[end].first <= merged.last {
            merged = overlap(runs[end], merged)
            end += 1
        }
        // What fits is one with what is before it and behind it.
        if low > 0, let begin = merged.begin, runs[low - 1].end == begin {
            low -= 1
            merged = joined(runs[low], merged)
        }
        if end < runs.count, let begin = runs[end].begin, merged.end == begin {
            merged = joined(merged, runs[end])
            end += 1
        }
        if end == low {
            runs.insert(merged, at: low)
        } else {
            runs.replaceSubrange(low..<end, with: CollectionOfOne(merged))
        }
    }

    private static func joined(_ one: Run, _ next: Run) -> Run {
        var run = one
        (run.last, run.end, run.lastFrom, run.to) = (next.last, next.end, next.lastFrom, next.to)
        run.isMixed = one.isMixed || next.isMixed
        return run
    }

    /// A sum and lines of it, or sums of which each holds lines that are among the other's.
    private static func overlap(_ one: Run, _ other: Run) -> Run {
        if !one.isMixed, one.first <= other.first, one.last >= other.last { return one }
        if !other.isMixed, other.first <= one.first, other.last >= one.last { return other }
        let (first, last) = (one.first <= other.first ? one : other, one.last >= other.last ? one : other)
        var run = first
        if one.first == other.first { run.begin = one.begin ?? other.begin }
        (run.last, run.end, run.lastFrom, run.to, run.isMixed) = (last.last, last.end, last.lastFrom, last.to, true)
        return run
    }

    /// Whether something does not fit, or, where the ledger's beginning was read, whether there was something before it.
    func isBroken(fromStart: Bool) -> Bool {
        runs.values.contains { runs in
            if fromStart, let begin = runs[0].begin, begin != Usage() { return true }
            return zip(runs, runs.dropFirst()).contains { $1.begin.map { $0 != Usage() } ?? false }
        }
    }
}

extension UsageRecord {
    /// All that was used before its interval.
    var begin: Usage { Usage(totals).minus(usage) }
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
    /// The counters that have counted it; of microseconds only whole milliseconds are known.
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

extension Account {
    static func isBefore(_ one: Account, _ other: Account) -> Bool {
        (one.tenant, one.key ?? "") < (other.tenant, other.key ?? "")
    }
}
