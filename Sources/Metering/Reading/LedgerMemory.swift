import Storage

/// What the meter table remembers of the ledger: how far it goes, and what each account's counters were at its last line.
/// A ledger that has lost its end, or lines of an account that has no later ones, can be told by it.
public struct LedgerMemory: Sendable {
    /// Whose lines it knows.
    let node: UInt32
    /// The last line that was written.
    public let last: RecordID?
    /// The first line of the file that was written to last, and the day of that file.
    let fileFirst: UInt64
    let fileDay: UInt64
    /// Lines behind this place are of accounts that it knows.
    let released: UInt64
    /// How many lines the book of plans and prices has.
    public let terms: UInt64
    /// End of the last interval that is in the ledger.
    public let closed: UInt64
    /// Whether all that was counted is in the ledger.
    public let isWritten: Bool
    /// The counters at an account's last line.
    let totals: [Account: UsageCounters]

    init(
        node: UInt32, last: RecordID?, fileFirst: UInt64 = 0, fileDay: UInt64 = 0, released: UInt64 = 0, closed: UInt64,
        isWritten: Bool, totals: [Account: UsageCounters]
    ) {
        (self.node, self.last, self.closed, self.isWritten, self.totals) = (node, last, closed, isWritten, totals)
        (self.fileFirst, self.fileDay, self.released, terms) = (fileFirst, fileDay, released, 0)
    }

    /// Of a ledger of which nothing is left but that there was one: whatever is asked of it, something is missing.
    public static func lost(at now: UInt64) -> LedgerMemory {
        LedgerMemory(
            node: 0, last: RecordID(node: 0, epoch: 1, sequence: 1), released: .max, closed: now, isWritten: true, totals: [:])
    }

    /// To be made before the ledger is listed: then whatever it names is there. nil of a table whose ledger was never
    /// opened.
    public init?(_ table: MeterSnapshot) {
        func state(_ word: LedgerState) -> UInt64 { table.ledgerHeader(word.rawValue) }
        guard state(.node) != 0 else { return nil }
        let noted = RecordID(node: UInt32(truncatingIfNeeded: state(.node)), place: state(.noted))
        node = noted.node
        // Of a table from before it was remembered, as far as this opening knows.
        let end = state(.last)
        last = end > 0 ? RecordID(node: noted.node, place: end) : noted.sequence > 0 ? noted : nil
        (fileFirst, fileDay, terms) = (state(.fileFirst), state(.fileDay), state(.terms))
        (released, closed) = (state(.released) == 0 ? .max : state(.released), state(.closed))
        var totals: [Account: UsageCounters] = [:]
        var isWritten = true
        table.forEach { meter in
            guard let kind = meter.kind, kind != .route else { return }
            var said = UsageCounters()
            var counted = UsageCounters()
            for (index, cell) in Meter.Cell.counters.enumerated() {
                said.words[index] = meter.value(.ledger(Meter.Cell.ledgerCounters + index))
                counted.words[index] = meter.value(cell)
            }
            if counted != said { isWritten = false }
            let tenant = kind == .key ? table.meter(at: meter.parent)?.name : meter.name
            guard let tenant else { return }
            totals[Account(tenant: tenant, key: kind == .key ? meter.name : nil)] = said
        }
        (self.totals, self.isWritten) = (totals, isWritten)
    }
}
