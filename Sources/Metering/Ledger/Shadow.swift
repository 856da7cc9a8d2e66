import Storage

/// What the ledger has said about an account, as its slot remembers it.
///
///     word    0      1       2      3...18                           19
///     what    last   first   check  the counters at the last line    requests counted as early then
struct Shadow: Equatable {
    private static let counters = Meter.Cell.ledgerCounters
    static let size = counters + UsageCounters.count + 1
    private static let earlyWord = size - 1

    /// Place (`RecordID.place`) of the account's last line; zero before the first.
    var last: UInt64 = 0
    /// Place of the account's first line since it has this slot.
    var first: UInt64 = 0
    var counters = UsageCounters()
    /// Requests of the first seconds of hours that are not to be told apart any more.
    var early: UInt64 = 0

    init() {}

    init<Table: UsageTable>(_ table: Table, _ slot: Table.Slot) {
        (last, first) = (table.word(0, of: slot), table.word(1, of: slot))
        for index in counters.words.indices { counters.words[index] = table.word(Self.counters + index, of: slot) }
        early = table.word(Self.earlyWord, of: slot)
    }

    /// False where the words do not belong together: a power cut between two of them.
    func isIntact<Table: UsageTable>(in table: Table, _ slot: Table.Slot) -> Bool {
        table.word(2, of: slot) == check
    }

    func store<Table: UsageTable>(in table: Table, _ slot: Table.Slot) {
        for index in counters.words.indices {
            table.setWord(Self.counters + index, of: slot, to: counters.words[index])
        }
        table.setWord(Self.earlyWord, of: slot, to: early)
        table.setWord(1, of: slot, to: first)
        table.setWord(0, of: slot, to: last)
        table.setWord(2, of: slot, to: check)
    }

    /// Counters of earlier versions: what came later is mixed in once it is there, and their shadows stay good.
    private static let mixedAlways = 15

    /// Zero when everything is.
    private var check: UInt64 {
        var sum: UInt64 = 0
        func mix(_ value: UInt64) {
            sum = (sum ^ value) &* 0x9E37_79B9_7F4A_7C15
            sum ^= sum >> 29
        }
        mix(last)
        mix(first)
        for index in counters.words.indices where index < Self.mixedAlways || counters.words[index] > 0 {
            mix(counters.words[index])
        }
        if early > 0 { mix(early) }
        return sum
    }
}
