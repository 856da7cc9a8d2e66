import Storage

/// Adds records up by period and writes the sums beside their place, then moves them there.
struct RollupWriter: ~Copyable {
    private let folder: LedgerFolder
    private let file: LedgerFile
    private let level: Period
    private let draft: String
    private let descriptor: Int32
    private var offset = 0
    /// Lines so far, and the checksum of their bytes.
    private var count = 0
    private var checksum: UInt32 = 0
    private var lines: [UInt8] = []
    /// The period that is being added up. Records come in the order of time, so that one at a time is held; where a
    /// clock went back a period has two sums, and both count.
    private var period: Range<UInt64> = 0..<0
    private var sums: [Account: UsageRecord] = [:]
    private static let bufferSize = 1 << 20

    init(_ folder: LedgerFolder, _ file: LedgerFile, _ level: Period) throws(StorageFault) {
        (self.folder, self.file, self.level) = (folder, file, level)
        draft = folder.path(of: file) + ".draft"
        try folder.files.remove(draft)
        descriptor = try folder.files.open(draft, writing: true)
    }

    deinit { folder.files.close(descriptor) }

    mutating func add(_ record: UsageRecord) throws(StorageFault) {
        if !period.contains(record.from) {
            try endPeriod()
            period = level.bounds(of: record.from)
        }
        var rolledUp = record.rolledUp ?? UsageRecord.RolledUp(lines: 1, first: record.id, last: record.id)
        rolledUp.level = level
        guard var sum = sums[record.account] else {
            var first = record
            (first.rolledUp, first.dayBefore, first.before) = (rolledUp, nil, nil)
            sums[record.account] = first
            return
        }
        sum.usage.add(record.usage)
        sum.to = max(sum.to, record.to)
        sum.from = min(sum.from, record.from)
        sum.rolledUp?.lines.addClamped(rolledUp.lines)
        // What was made good by totals comes behind what comes after it.
        if record.id.place >= sum.id.place {
            (sum.id, sum.inFlight, sum.totals) = (record.id, record.inFlight, record.totals)
            sum.rolledUp?.last = rolledUp.last
        } else if let first = sum.rolledUp?.first, rolledUp.first.node == first.node, rolledUp.first.place < first.place
        {
            sum.rolledUp?.first = rolledUp.first
        }
        sums[record.account] = sum
    }

    /// The sums are on the disk, sealed, and in their place.
    /// - Parameters:
    ///   - ids: of all lines that are in them.
    ///   - of: the files that were read.
    ///   - damaged: how many lines were made good.
    ///   - ends: the last lines of openings, as far as lines name them.
    mutating func finish(
        ids: RecordRanges, of sources: [Seal.Source], damaged: Int, ends: RecordRanges
    ) throws(StorageFault) {
        try endPeriod()
        try flush()
        let seal = Seal(
            name: file.name, records: count, checksum: checksum, ids: ids, of: sources, damaged: damaged, ends: ends)
        seal.write(to: &lines)
        try flush()
        try folder.files.sync(descriptor)
        try folder.files.rename(draft, to: folder.path(of: file))
        try folder.files.syncFolder(folder.rollups)
    }

    /// Of no use, and takes room that may be what is missing.
    func discard() { try? folder.files.remove(draft) }

    private mutating func endPeriod() throws(StorageFault) {
        // In the order of their last records: the last line of a file then has the last of all.
        for sum in sums.values.sorted(by: { $0.id.place < $1.id.place }) {
            sum.write(to: &lines)
            count += 1
            if lines.count > Self.bufferSize { try flush() }
        }
        sums.removeAll(keepingCapacity: true)
    }

    private mutating func flush() throws(StorageFault) {
        checksum = lines.withUnsafeBytes { CRC32.checksum($0, after: checksum) }
        try folder.files.write(descriptor, all: lines, at: offset)
        offset += lines.count
        lines.removeAll(keepingCapacity: true)
    }
}
