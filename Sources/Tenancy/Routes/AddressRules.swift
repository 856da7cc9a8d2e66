import Base
import Configuration

/// Which client addresses may come, however long the list: all addresses there are, in order, cut wherever the answer changes, so
/// that one search finds it. A handle to a record of its `Directory`.
public struct AddressRules {
    struct Record {
        /// The first addresses for which the answer is another one than for those in front of them.
        var cuts: List<Cut>
        /// The answer in front of all of them.
        var allowsFirst: Bool
    }

    struct Cut: Equatable {
        var high, low: UInt64

        func isBehind(_ high: UInt64, _ low: UInt64) -> Bool { self.high > high || (self.high == high && self.low > low) }
    }

    let record: UnsafePointer<Record>

    /// Whether an address may come, IPv4 as IPv4-mapped IPv6.
    public func allow(high: UInt64, low: UInt64) -> Bool {
        let cuts = record.pointee.cuts
        var (first, end) = (0, cuts.count)
        while first < end {
            let middle = (first + end) / 2
            if cuts[middle].isBehind(high, low) { end = middle } else { first = middle + 1 }
        }
        return record.pointee.allowsFirst == first.isMultiple(of: 2)
    }

    static func make(_ rules: [AddressRule], in memory: RecordMemory) -> UnsafePointer<Record> {
        let (cuts, allowsFirst) = cuts(of: rules)
        return UnsafePointer(memory.keep([Record(cuts: memory.list(cuts), allowsFirst: allowsFirst)]))
    }

    /// Blocks lie in each other or apart, so that a stack has those that an address is in; of them the first in the list holds.
    static func cuts(of rules: [AddressRule]) -> (cuts: [Cut], allowsFirst: Bool) {
        let blocks = rules.enumerated().map { number, rule in
            let start = UInt128(rule.block.high) << 64 | UInt128(rule.block.low)
            return (start: start, last: start | (rule.block.prefix == 0 ? .max : UInt128.max >> UInt128(rule.block.prefix)), number: number)
        }
        var answers: [(from: UInt128, allows: Bool)] = [(0, true)]
        func answer(from start: UInt128, by number: Int) {
            let allows = number == rules.count || rules[number].allows
            if answers[answers.count - 1].from == start { answers.removeLast() }
            if answers.last?.allows != allows { answers.append((start, allows)) }
        }
        var open: [(last: UInt128, number: Int)] = [(.max, rules.count)]
        func close(before start: UInt128?) {
            while open.count > 1, let last = open.last?.last, start.map({ last < $0 }) ?? true {
                open.removeLast()
                if last < .max { answer(from: last + 1, by: open[open.count - 1].number) }
            }
        }
        for block in blocks.sorted(by: { ($0.start, $1.last, $0.number) < ($1.start, $0.last, $1.number) }) {
            close(before: block.start)
            open.append((block.last, min(block.number, open[open.count - 1].number)))
            answer(from: block.start, by: open[open.count - 1].number)
        }
        close(before: nil)
        let cuts = answers.dropFirst().map {
            Cut(high: UInt64(truncatingIfNeeded: $0.from >> 64), low: UInt64(truncatingIfNeeded: $0.from))
        }
        return (cuts, answers[0].allows)
    }
}
