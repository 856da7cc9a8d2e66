/// Follows accounts from one opening of the ledger to the next: the first line of each says what the last line before it
/// said. Within an opening ids tell what is missing; at its end only this does.
struct OpeningChain {
    private struct Opening: Hashable, Comparable {
        var node: UInt32
        var epoch: UInt64

        static func < (one: Opening, other: Opening) -> Bool { (one.node, one.epoch) < (other.node, other.epoch) }
    }
    private struct Ends {
        /// What was used before its first line, and when that began.
        var begin: Usage?
        var first: UInt64 = .max
        var time: UInt64 = 0
        /// What was used up to its last line.
        var sum: Usage?
        var last: RecordID?
    }
    private var accounts: [Account: [Opening: Ends]] = [:]
    /// Openings of which sums hold lines that can't be told apart.
    private var mixed: [Account: [ClosedRange<Opening>]] = [:]

    /// - Parameter isInOrder: nothing was used between its first line and its last that is not in it.
    mutating func take(_ record: UsageRecord, isInOrder: Bool = true) {
        let sum = Usage(record.totals)
        let first = record.rolledUp?.first ?? record.id
        let (start, end) = (
            Opening(node: first.node, epoch: first.epoch), Opening(node: record.id.node, epoch: record.id.epoch)
        )
        // Of a sum of several openings, or of two times, nobody knows what was before which of them.
        guard isInOrder, start == end else { return mixed[record.account, default: []].append(min(start, end)...max(start, end)) }
        var ends = accounts[record.account, default: [:]]
        if first.place < ends[start, default: Ends()].first {
            ends[start, default: Ends()].begin = sum.minus(record.usage)
            ends[start]!.first = first.place
            ends[start]!.time = record.from
        }
        if record.id.place >= ends[end, default: Ends()].last?.place ?? 0 {
            ends[end, default: Ends()].sum = sum
            ends[end]!.last = record.id
        }
        accounts[record.account] = ends
    }

    private func isMixed(_ account: Account, _ openings: ClosedRange<Opening>) -> Bool {
        mixed[account]?.contains { $0.overlaps(openings) } ?? false
    }

    /// Lines of an account behind which something is missing, if there are none between it and the next.
    var breaks: [(last: RecordID, next: RecordID)] {
        var found: [(last: RecordID, next: RecordID)] = []
        for (account, ends) in accounts {
            let order = ends.keys.sorted()
            for (one, next) in zip(order, order.dropFirst()) where one.node == next.node && !isMixed(account, one...next) {
                guard let sum = ends[one]!.sum, let last = ends[one]!.last, let begin = ends[next]!.begin, begin != sum,
                    begin != Usage()
                else { continue }
                found.append((last, RecordID(node: last.node, place: ends[next]!.first)))
            }
        }
        return found
    }

    /// First lines of accounts that say that there was something before them.
    var beginnings: [RecordID] {
        accounts.compactMap { account, ends in
            let nodes = Set(ends.keys.map(\.node))
            guard nodes.count == 1, let opening = ends.keys.min(), let begin = ends[opening]!.begin, begin != Usage(),
                !isMixed(account, Opening(node: opening.node, epoch: 0)...opening)
            else { return nil }
            return RecordID(node: opening.node, place: ends[opening]!.first)
        }
    }

    /// When the next opening after that of a line began, as far as is known.
    func begin(after id: RecordID) -> UInt64 {
        var time: UInt64 = .max
        for ends in accounts.values {
            for (opening, end) in ends where opening.node == id.node && opening.epoch > id.epoch && end.time > 0 {
                time = min(time, end.time)
            }
        }
        return time == .max ? 0 : time + 1
    }
}
