/// Ids of many records, written short: those of one opening that follow each other are a range.
public struct RecordRanges: Sendable, Equatable {
    public struct Range: Sendable, Equatable {
        public var first: RecordID
        public var last: RecordID
    }
    /// Ascending.
    public private(set) var ranges: [Range] = []
    public private(set) var count = 0

    public init() {}

    mutating func add(_ id: RecordID) {
        count += 1
        if let last = ranges.last?.last, last.node == id.node, last.place + 1 == id.place {
            ranges[ranges.count - 1].last = id
        } else {
            ranges.append(Range(first: id, last: id))
        }
    }

    /// Files come by day; a clock that went back may have mixed their order.
    mutating func close() {
        ranges.sort { ($0.first.node, $0.first.place) < ($1.first.node, $1.first.place) }
    }
}

extension RecordRanges.Range {
    /// `0f9c2a41-3-17`, or `0f9c2a41-3-17..25`.
    public var text: String { first == last ? first.text : first.text + ".." + String(last.sequence) }
}
