import Storage

/// Reads all of a ledger and says what is wrong with it; rebuilds what can be rebuilt: sums from lines, lines from totals.
public struct LedgerCheck {
    let folder: LedgerFolder
    let memory: LedgerMemory?
    /// What can't be made good.
    public private(set) var damage: [LedgerDamage] = []
    /// What can: the totals of other lines, or finer files, say the same.
    public private(set) var mendable: [LedgerDamage] = []
    /// Lines that stand twice.
    public private(set) var repeated: [LedgerDamage] = []
    /// Files that are gone although nobody removed them, of which sums still say what they said.
    public private(set) var missing: [LedgerDamage] = []
    /// Files that were read.
    public private(set) var files = 0
    let reader: LedgerReader
    /// What is wrong with them their lines make good.
    private(set) var brokenSums: [LedgerFile] = []

    /// - Parameters:
    ///   - from: days before it are not looked at.
    ///   - retention: how long lines are kept, in nanoseconds; older ones may be gone. nil is for ever.
    public init(
        _ folder: LedgerFolder, memory: LedgerMemory? = nil, from: UInt64 = 0, retention: UInt64? = nil
    ) throws(StorageFault) {
        self = try folder.look { () throws(StorageFault) in try LedgerCheck(reading: folder, memory, from, retention) }
    }

    private init(
        reading folder: LedgerFolder, _ memory: LedgerMemory?, _ from: UInt64, _ retention: UInt64?
    ) throws(StorageFault) {
        (self.folder, self.memory) = (folder, memory)
        reader = try LedgerReader(folder, memory: memory)
        var query = UsageQuery(from: from == 0 ? nil : from, by: .hour, acceptsCoarse: true)
        query.isForSums = true
        query.readsLines = true
        reader.isThorough = true
        try reader.read(query) { _, _ in }
        (damage, mendable) = (reader.damage, reader.mended)
        for file in reader.files where file.span.upperBound > from {
            files += 1
            if file.level == nil {
                let lines = try LinesOfFile(file, in: reader.folder) { _ in }
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
        try findMissing(from, retention)
        try reader.expectSame()
    }

    /// What seals name and is not there.
    private mutating func findMissing(_ from: UInt64, _ retention: UInt64?) throws(StorageFault) {
        let removed = try RemovedDays.list(reader.folder)
        let all = reader.files
        let end = max(memory?.closed ?? 0, all.map(\.span.upperBound).max() ?? 0)
        var seen = Set((damage + mendable).map(\.file))
        for sum in all where sum.level != nil && sum.span.upperBound > from {
            for source in try Seal.read(sum, in: reader.folder)?.of ?? [] where !removed.contains(source.file) {
                let isRollup = source.file.hasPrefix(LedgerFile.rollupFolder + "/")
                let name =
                    isRollup ? String(source.file.dropFirst(LedgerFile.rollupFolder.utf8.count + 1)) : source.file
                guard var file = LedgerFile(name: name, inRollups: isRollup), file.span.upperBound > from else {
                    continue
                }
                file.isCompressed = false
                if file.level == nil, let retention, end - file.span.upperBound >= retention { continue }
                let isThere = all.contains { $0 == file || $0 == file.compressed }
                guard !isThere, !removed.contains(file.path), seen.insert(file.path).inserted else { continue }
                missing.append(
                    LedgerDamage(
                        file: file.path, span: file.span, lines: 1, what: "is not there; sums say what it said"))
            }
        }
    }

    /// What is wrong with a file of sums although nothing is lost; nil where nothing is.
    private func check(_ file: LedgerFile) throws(StorageFault) -> String? {
        let folder = reader.folder
        guard let seal = try Seal.read(file, in: folder) else {
            return "is not as it was written, or not whole; what it was made of is there"
        }
        if seal.isFormer { return nil }
        // What it says against what its lines say, where they are all there.
        var (sums, lines): ([Account: Usage], [Account: Usage]) = ([:], [:])
        var ids = RecordRanges()
        for source in reader.files where source.level == nil && file.span.contains(source.span.lowerBound) {
            let scan = try LinesOfFile(source, in: folder) { record in
                if !seal.ids.contains(record.id) || !ids.insert(record.id) { return }
                lines[record.account, default: Usage()].add(record.usage)
            }
            if !scan.isSound { return nil }
        }
        guard ids == seal.ids else { return nil }
        try JournalReader(folder.files).forward(folder.path(of: file)) { line in
            if let record = UsageRecord(line) { sums[record.account, default: Usage()].add(record.usage) }
            return true
        }
        return sums == lines ? nil : "does not say what its lines say"
    }
}
