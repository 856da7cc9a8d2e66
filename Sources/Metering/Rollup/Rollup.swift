import Storage

/// Adds up the days and months that are over, and removes the intervals of old days where that is wanted. What an
/// invoice needs is never removed: a file goes only once another says what it said.
///
/// It writes beside the ledger and never into it, so that its own end at any moment leaves nothing half done: a file of
/// sums is there whole or not at all.
public struct Rollup: Sendable {
    let folder: LedgerFolder
    /// The finest sums that are kept; the coarser ones always are.
    let finest: Period
    /// Nanoseconds after its end for which the intervals of a day are kept; nil is for ever.
    let retention: UInt64?
    /// Nanoseconds after its end after which the intervals of a day are compressed; nil is never.
    let compression: UInt64?
    let compressor: any Compressor

    public struct Report: Sendable, Equatable {
        /// Paths from the ledger's folder.
        public var written: [String] = []
        public var removed: [String] = []
        public var compressed: [String] = []
        /// Why a day that should be compressed is kept as it is.
        public var notCompressed: StorageFault?
        public init() {}
    }

    public init(
        _ folder: LedgerFolder, finest: Period, retention: UInt64?, compression: UInt64? = nil,
        compressor: any Compressor = GzipTool()
    ) {
        (self.folder, self.finest, self.retention) = (folder, finest, retention)
        (self.compression, self.compressor) = (compression, compressor)
    }

    /// Whatever is over at `closed`, the end of the last interval that is in the ledger.
    public func run(closed: UInt64) throws(StorageFault) -> Report {
        var report = Report()
        var there = Set(try folder.list())
        let days = there.filter { $0.level == nil && $0.span.upperBound <= closed }
            .sorted { $0.span.lowerBound < $1.span.lowerBound }
        if days.isEmpty { return report }
        try folder.files.makeFolder(folder.rollups)
        for day in days {
            let wanted = [Period.hour, .day].filter { finest == .hour || finest == $0 }
            try write(wanted.map { LedgerFile(day: day.span.lowerBound, level: $0) }, from: [day], &there, &report)
        }
        for month in Set(days.map { Period.month.bounds(of: $0.span.lowerBound) }) where month.upperBound <= closed {
            let sum = LedgerFile(day: month.lowerBound, level: .month)
            let parts = there.filter { file in
                month.contains(file.span.lowerBound) && file.level == (finest == .month ? nil : .day)
            }
            try write([sum], from: parts.sorted { $0.span.lowerBound < $1.span.lowerBound }, &there, &report)
        }
        for day in days where there.contains(LedgerFile(day: day.span.lowerBound, level: finest)) {
            let age = closed - day.span.upperBound
            if let retention, age >= retention {
                try folder.files.remove(folder.path(of: day))
                // Where the process ended between compressing it and removing it there are both.
                if !day.isCompressed { try folder.files.remove(folder.path(of: day.compressed)) }
                report.removed.append(day.path)
            } else if let compression, age >= compression, !day.isCompressed, report.notCompressed == nil {
                do throws(StorageFault) {
                    try DayCompression(folder, day).run(compressor)
                    report.compressed.append(day.compressed.path)
                } catch { report.notCompressed = error }
            }
        }
        return report
    }

    private func write(
        _ sums: [LedgerFile], from parts: [LedgerFile], _ there: inout Set<LedgerFile>, _ report: inout Report
    ) throws(StorageFault) {
        for sum in sums where !there.contains(sum) && !parts.isEmpty {
            guard let level = sum.level else { continue }
            var writer = try RollupWriter(folder, sum, level)
            for part in parts {
                var fault: StorageFault?
                try JournalReader(folder.files).forward(folder.path(of: part)) { line in
                    guard let record = UsageRecord(line) else { return true }
                    do throws(StorageFault) {
                        try writer.add(record)
                        return true
                    } catch {
                        fault = error
                        return false
                    }
                }
                if let fault { throw fault }
            }
            try writer.finish()
            there.insert(sum)
            report.written.append(sum.path)
        }
    }
}
