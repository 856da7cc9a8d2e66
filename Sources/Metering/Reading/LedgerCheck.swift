import Storage

/// Reads all of a ledger and says what is wrong with it; rebuilds what can be rebuilt: sums from lines, lines from totals.
public struct LedgerCheck {
    private let folder: LedgerFolder
    private let memory: LedgerMemory?
    /// What can't be made good.
    public private(set) var damage: [LedgerDamage] = []
    /// What can: the totals of other lines, or finer files, say the same.
    public private(set) var mendable: [LedgerDamage] = []
    /// Lines that stand twice.
    public private(set) var repeated: [LedgerDamage] = []
    /// Files that were read.
    public private(set) var files = 0
    private var reader: LedgerReader
    private var brokenSums: [LedgerFile] = []

    /// - Parameter from: days before it are not looked at.
    public init(_ folder: LedgerFolder, memory: LedgerMemory? = nil, from: UInt64 = 0) throws(StorageFault) {
        (self.folder, self.memory) = (folder, memory)
        reader = try LedgerReader(folder, memory: memory)
        var query = UsageQuery(from: from == 0 ? nil : from, by: .hour, acceptsCoarse: true)
        query.isForSums = true
        query.readsLines = true
        try reader.read(query) { _, _ in }
        (damage, mendable) = (reader.damage, reader.mended)
        for file in try folder.list() where file.span.upperBound > from {
            files += 1
            if file.level == nil {
                let lines = try LinesOfFile(file, in: folder) { _ in }
                if lines.repeated > 0 {
                    repeated.append(
                        LedgerDamage(
                            file: file.path, span: file.span, lines: lines.repeated,
                            what: "\(lines.repeated) lines stand there twice, and count once"))
                }
                continue
            }
            guard damage.allSatisfy({ $0.file != file.path }) else { continue }
            let fault: String? = try check(file)
            guard let fault else { continue }
            brokenSums.append(file)
            mendable.append(LedgerDamage(file: file.path, span: file.span, lines: 1, what: fault))
        }
    }

    /// What is wrong with a file of sums although nothing is lost; nil where nothing is.
    private func check(_ file: LedgerFile) throws(StorageFault) -> String? {
        guard let seal = try Seal.read(file, in: folder) else {
            return "is not as it was written, or not whole; what it was made of is there"
        }
        if seal.isFormer { return nil }
        // What it says against what its lines say, where they are all there.
        var (sums, lines): ([Account: Usage], [Account: Usage]) = ([:], [:])
        var ids = RecordRanges()
        for source in try folder.list() where source.level == nil && file.span.contains(source.span.lowerBound) {
            let scan = try LinesOfFile(source, in: folder) { record in
                if !seal.ids.contains(record.id) || !ids.insert(record.id) { return }
                lines[record.account, default: Usage()].add(record.usage)
            }
            if !scan.damage.isEmpty { return nil }
        }
        guard ids == seal.ids else { return nil }
        try JournalReader(folder.files).forward(folder.path(of: file)) { line in
            if let record = UsageRecord(line) { sums[record.account, default: Usage()].add(record.usage) }
            return true
        }
        return sums == lines ? nil : "does not say what its lines say"
    }

    // MARK: Repair

    /// What a repair would do, a line each; empty where there is nothing to do.
    public var plan: [String] {
        let lines = Set(reader.mended.map(\.file) + repeated.map(\.file)).sorted().map {
            "\($0): written anew, of its good lines and what totals tell"
        }
        return lines + brokenSums.map(\.path).sorted().map { "\($0): added up anew" }
    }

    /// Does it. For who has the ledger alone. What is written anew is there whole or not at all.
    public func repair() throws(StorageFault) {
        let wanted = Set(reader.mended.map(\.file) + repeated.map(\.file))
        for file in try folder.list() where file.level == nil && wanted.contains(file.path) { try rewrite(file) }
        for file in brokenSums { try folder.files.remove(folder.path(of: file)) }
        let finest: Period =
            brokenSums.contains { $0.level == .hour } ? .hour : brokenSums.contains { $0.level == .day } ? .day : .month
        if !brokenSums.isEmpty {
            let end = brokenSums.map(\.span.upperBound).max()!
            _ = try Rollup(folder, finest: finest, retention: nil).run(closed: end, memory: memory)
        }
    }

    private func rewrite(_ file: LedgerFile) throws(StorageFault) {
        var records: [UsageRecord] = []
        _ = try LinesOfFile(file, in: folder) { records.append($0) }
        // What is missing belongs to the day on which it was used.
        records += reader.mendedRecords.filter { file.span.contains($0.from) }
        records.sort { ($0.id.node, $0.id.place) < ($1.id.node, $1.id.place) }
        var lines: [UInt8] = []
        for record in records { record.write(to: &lines) }
        var plain = file
        plain.isCompressed = false
        let draft = folder.path(of: plain) + ".draft"
        try folder.files.remove(draft)
        let descriptor = try folder.files.open(draft, writing: true)
        defer { folder.files.close(descriptor) }
        try folder.files.write(descriptor, all: lines, at: 0)
        try folder.files.sync(descriptor)
        try folder.files.rename(draft, to: folder.path(of: plain))
        if file.isCompressed { try folder.files.remove(folder.path(of: file)) }
        try folder.files.syncFolder(folder.path)
    }
}
