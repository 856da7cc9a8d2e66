import Storage

/// Adds records up by period and writes the sums beside their place, then moves them there.
struct RollupWriter: ~Copyable {
    private let folder: LedgerFolder
    private let file: LedgerFile
    private let level: Period
    private let draft: String
    private let descriptor: Int32
    private var offset = 0
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
        let rolledUp = record.rolledUp ?? UsageRecord.RolledUp(lines: 1, first: record.id, last: record.id)
        guard var sum = sums[record.account] else {
            var first = record
            first.rolledUp = rolledUp
            sums[record.account] = first
            return
        }
        sum.usage.add(record.usage)
        sum.to = max(sum.to, record.to)
        sum.id = record.id
        (sum.inFlight, sum.totals) = (record.inFlight, record.totals)
        sum.rolledUp?.lines += rolledUp.lines
        sum.rolledUp?.last = rolledUp.last
        sums[record.account] = sum
    }

    /// The sums are on the disk, and in their place.
    mutating func finish() throws(StorageFault) {
        try endPeriod()
        try flush()
        try folder.files.sync(descriptor)
        try folder.files.rename(draft, to: folder.path(of: file))
        try folder.files.syncFolder(folder.rollups)
    }

    private mutating func endPeriod() throws(StorageFault) {
        // In the order of their last records: the last line of a file then has the last of all.
        for sum in sums.values.sorted(by: { $0.id.place < $1.id.place }) {
            sum.write(to: &lines)
            if lines.count > Self.bufferSize { try flush() }
        }
        sums.removeAll(keepingCapacity: true)
    }

    private mutating func flush() throws(StorageFault) {
        try folder.files.write(descriptor, all: lines, at: offset)
        offset += lines.count
        lines.removeAll(keepingCapacity: true)
    }
}
