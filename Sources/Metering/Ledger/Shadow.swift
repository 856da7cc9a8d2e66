import Storage

/// What the ledger has said about an account, as its slot remembers it.
///
///     word    0      1       2      3...17
///     what    last   first   check  the counters at the last line
struct Shadow: Equatable {
    private static let counters = Meter.Cell.ledgerCounters
    static let size = counters + UsageCounters.count

    /// Place (`RecordID.place`) of the account's last line; zero before the first.
    var last: UInt64 = 0
    /// Place of the account's first line since it has this slot.
    var first: UInt64 = 0
    var counters = UsageCounters()

    init() {}

    init<Table: UsageTable>(_ table: Table, _ slot: Table.Slot) {
        (last, first) = (table.word(0, of: slot), table.word(1, of: slot))
        for index in counters.words.indices { counters.words[index] = table.word(Self.counters + index, of: slot) }
    }

    /// False where the words do not belong together: a power cut between two of them.
    func isIntact<Table: UsageTable>(in table: Table, _ slot: Table.Slot) -> Bool {
        table.word(2, of: slot) == check
    }

    func store<Table: UsageTable>(in table: Table, _ slot: Table.Slot) {
        for index in counters.words.indices { table.setWord(Self.counters + index, of: slot, to: counters.words[index]) }
        table.setWord(1, of: slot, to: first)
        table.setWord(0, of: slot, to: last)
        table.setWord(2, of: slot, to: check)
    }

    /// Zero when everything is.
    private var check: UInt64 {
        var sum: UInt64 = 0
        func mix(_ value: UInt64) {
            sum = (sum ^ value) &* 0x9E37_79B9_7F4A_7C15
            sum ^= sum >> 29
        }
        mix(last)
        mix(first)
        for index in counters.words.indices { mix(counters.words[index]) }
        return sum
    }
}
