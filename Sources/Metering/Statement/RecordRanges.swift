/// Ids of many records, written short: those of one opening that follow each other are a range.
public struct RecordRanges: Sendable, Equatable {
    public struct Range: Sendable, Equatable {
        public var first: RecordID
        /// Of the same node and epoch, not before the first.
        public var last: RecordID

        public var count: Int { Int(last.place - first.place) + 1 }

        /// Behind the last.
        var next: RecordID { last.next }
    }
    /// Ascending, with something missing between each and the next, unless that is of another opening.
    public private(set) var ranges: [Range] = []

    public init() {}

    /// All ids from one place to another, of each opening between them whatever it may have had; nil of more openings than
    /// anybody lists, or of one that may go on.
    init?(node: UInt32, _ first: UInt64, _ last: UInt64) {
        let (start, end) = (RecordID(node: node, place: first), RecordID(node: node, place: last))
        guard last < .max, end.epoch - start.epoch <= 1000 else { return nil }
        for epoch in max(start.epoch, 1)...max(end.epoch, 1) {
            let opening = RecordID(node: node, epoch: epoch, sequence: 0).place
            let (low, high) = (max(first, opening + 1), min(last, opening + (1 << RecordID.sequenceBits - 1)))
            guard low <= high else { continue }
            insert(Range(first: RecordID(node: node, place: low), last: RecordID(node: node, place: high)))
        }
    }

    public var count: Int { ranges.reduce(0) { $0 + $1.count } }
    public var isEmpty: Bool { ranges.isEmpty }

    /// False where it was there already.
    @discardableResult
    public mutating func insert(_ id: RecordID) -> Bool {
        if let last = ranges.last?.last, last.node == id.node, last.place + 1 == id.place {
            ranges[ranges.count - 1].last = id
            return true
        }
        if contains(id) { return false }
        insert(Range(first: id, last: id))
        return true
    }

    public mutating func insert(_ range: Range) {
        // Those that it overlaps, or that it follows or is followed by without a gap, become one with it.
        var start = place(of: range.first)
        if start > 0, Self.touch(ranges[start - 1], range) { start -= 1 }
        var (end, merged) = (start, range)
        while end < ranges.count, Self.touch(merged, ranges[end]) {
            if Self.isBefore(ranges[end].first, merged.first) { merged.first = ranges[end].first }
            if Self.isBefore(merged.last, ranges[end].last) { merged.last = ranges[end].last }
            end += 1
        }
        ranges.replaceSubrange(start..<end, with: [merged])
    }

    public mutating func insert(_ others: RecordRanges) { for range in others.ranges { insert(range) } }

    public func contains(_ id: RecordID) -> Bool {
        let place = place(of: id)
        if place < ranges.count, ranges[place].first == id { return true }
        guard place > 0 else { return false }
        let range = ranges[place - 1]
        return range.first.node == id.node && range.last.place >= id.place
    }

    public func covers(_ others: RecordRanges) -> Bool {
        others.ranges.allSatisfy { range in
            let place = place(of: range.first)
            let holder = place < ranges.count && ranges[place].first == range.first ? place : place - 1
            guard holder >= 0 else { return false }
            return ranges[holder].first.node == range.first.node && ranges[holder].last.place >= range.last.place
        }
    }

    /// The nearest id in front of a place; nil where there is none of that node.
    func last(before place: UInt64, of node: UInt32) -> RecordID? {
        let id = RecordID(node: node, place: place)
        let index = self.place(of: id)
        guard index > 0, ranges[index - 1].first.node == node else { return nil }
        return ranges[index - 1].last.place < place ? ranges[index - 1].last : RecordID(node: node, place: place - 1)
    }

    /// The nearest id behind a place; nil where there is none of that node.
    func first(behind place: UInt64, of node: UInt32) -> RecordID? {
        let id = RecordID(node: node, place: place)
        if contains(id.next) { return id.next }
        let index = self.place(of: id.next)
        guard index < ranges.count, ranges[index].first.node == node else { return nil }
        return ranges[index].first
    }

    /// Whether there are ids of one opening in both.
    func sharesOpening(with others: RecordRanges) -> Bool {
        let mine = Set(ranges.map { UInt64($0.first.node) << 32 | $0.first.epoch })
        return others.ranges.contains { mine.contains(UInt64($0.first.node) << 32 | $0.first.epoch) }
    }

    /// What is missing between two ids of the same opening.
    public var gaps: [Range] {
        zip(ranges, ranges.dropFirst()).compactMap { one, next in
            guard one.last.node == next.first.node, one.last.epoch == next.first.epoch else { return nil }
            return Range(
                first: RecordID(node: one.last.node, place: one.last.place + 1),
                last: RecordID(node: one.last.node, place: next.first.place - 1))
        }
    }

    /// The same, and what is missing from the beginning of an opening, whose first id is 1.
    var gapsAndStarts: [Range] {
        var starts: [Range] = []
        for (index, range) in ranges.enumerated() where range.first.sequence > 1 {
            let before = index > 0 ? ranges[index - 1].last : nil
            if let before, before.node == range.first.node, before.epoch == range.first.epoch { continue }
            let first = RecordID(node: range.first.node, epoch: range.first.epoch, sequence: 1)
            starts.append(Range(first: first, last: RecordID(node: first.node, place: range.first.place - 1)))
        }
        return gaps + starts
    }

    /// How many ranges begin before it.
    private func place(of id: RecordID) -> Int {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if Self.isBefore(ranges[middle].first, id) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func isBefore(_ one: RecordID, _ other: RecordID) -> Bool {
        (one.node, one.place) < (other.node, other.place)
    }

    /// Whether nothing is missing between them; the first does not begin after the second, or they overlap.
    private static func touch(_ one: Range, _ next: Range) -> Bool {
        one.first.node == next.first.node && one.last.place + 1 >= next.first.place
            && next.last.place + 1 >= one.first.place
            && one.first.epoch == next.first.epoch
    }
}

extension RecordRanges.Range {
    /// `0f9c2a41-3-17`, or `0f9c2a41-3-17..25`.
    public var text: String { first == last ? first.text : first.text + ".." + String(last.sequence) }

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard let first = parts.first.flatMap({ RecordID(String($0)) }) else { return nil }
        if parts.count == 1 {
            self.init(first: first, last: first)
            return
        }
        guard parts.count == 3, parts[1].isEmpty, let sequence = UInt64(parts[2]), sequence > first.sequence,
            sequence < 1 << RecordID.sequenceBits
        else { return nil }
        self.init(first: first, last: RecordID(node: first.node, epoch: first.epoch, sequence: sequence))
        if last.place == .max { return nil }
    }
}
