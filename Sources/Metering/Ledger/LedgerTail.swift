import Storage

/// The last lines of a ledger, read from its end.
struct LedgerTail {
    let node: UInt32
    /// The last line of each account behind a place.
    private(set) var lines: [Account: UsageRecord] = [:]
    /// How many lines stand behind that place.
    private(set) var count = 0
    /// Place of the very last line; zero without one.
    private(set) var last: UInt64 = 0
    /// The end of its interval.
    private(set) var closed: UInt64 = 0

    /// Looks at the end of every file: of which one the last line is does not follow from their names when a clock went
    /// back. Lines of other nodes are another table's. A day was added up before it was compressed: its sums say the same.
    init(_ journal: Journal, node: UInt32, after noted: UInt64) throws(StorageFault) {
        self.node = node
        for file in try LedgerFolder(journal.folder, files: journal.files).list() where !file.isCompressed {
            try journal.readBackward(file.path) { line in
                guard let record = UsageRecord(line), record.id.node == node else { return true }
                if record.id.place > last { (last, closed) = (record.id.place, record.to) }
                // Sums tell what the last record was; what is behind the noted place is never in them.
                guard file.level == nil, record.id.place > noted else { return false }
                count += 1
                if let other = lines[record.account], other.id.place > record.id.place { return true }
                lines[record.account] = record
                return true
            }
        }
    }

    /// The last line of each of these accounts, wherever it stands; the newest file is read first.
    static func lastLines(
        of accounts: Set<Account>, in journal: Journal, node: UInt32
    ) throws(StorageFault) -> [Account: UsageRecord] {
        var wanted = accounts
        var found: [Account: UsageRecord] = [:]
        let folder = LedgerFolder(journal.folder, files: journal.files)
        for file in try folder.list().sorted(by: LedgerFile.isLater) where !wanted.isEmpty {
            if file.isCompressed {
                // From its beginning: the last of each account is what stays.
                var last: [Account: UsageRecord] = [:]
                try JournalReader(journal.files).forward(folder.path(of: file)) { line in
                    guard let record = UsageRecord(line), record.id.node == node else { return true }
                    if wanted.contains(record.account) { last[record.account] = record }
                    return true
                }
                for (account, record) in last { (found[account], _) = (record, wanted.remove(account)) }
                continue
            }
            try journal.readBackward(file.path) { line in
                guard let record = UsageRecord(line), record.id.node == node else { return true }
                if wanted.remove(record.account) != nil { found[record.account] = record }
                return !wanted.isEmpty
            }
        }
        return found
    }
}
