import Base
import Storage

/// Adds up the days and months that are over, and removes the intervals of old days where that is wanted. What an
/// invoice needs is never removed: a file goes only once a sealed one says what it said.
///
/// It writes beside the ledger and never into it, so that its own end at any moment leaves nothing half done: a file of
/// sums is there whole or not at all. What was added to a day after it was added up is added to its sums at the next time.
/// A day of which lines are damaged or missing is not added up, and nothing of it is removed.
public struct Rollup: Sendable {
    let folder: LedgerFolder
    /// The finest sums that are kept; the coarser ones always are.
    let finest: Period
    /// The beginnings of months of which invoices need days: prices have changed within them.
    let parted: Set<UInt64>
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
        /// What is not added up and is kept as it is.
        public var damage: [LedgerDamage] = []
        public init() {}
    }

    public init(
        _ folder: LedgerFolder, finest: Period, parted: Set<UInt64> = [], retention: UInt64?, compression: UInt64? = nil,
        compressor: any Compressor = GzipTool()
    ) {
        (self.folder, self.finest, self.parted, self.retention) = (folder, finest, parted, retention)
        (self.compression, self.compressor) = (compression, compressor)
    }

    /// Whatever is over at `closed`, the end of the last interval that is in the ledger. Takes its turn.
    /// - Parameters:
    ///   - memory: what the meter table knows of the ledger; by it more is made good.
    ///   - waits: called with a path when it waits for long.
    public func run(
        closed: UInt64, memory: LedgerMemory? = nil, waits: (_ path: String) -> Void = { _ in }
    ) throws(StorageFault) -> Report {
        try Self.run(in: folder, waits: waits) { Task(rollup: self, closed: closed, memory: memory) } ?? Report()
    }

    /// What is to be added up, and by which rules.
    public struct Task {
        let rollup: Rollup
        let closed: UInt64
        let memory: LedgerMemory?
        /// As `run` takes them.
        public init(rollup: Rollup, closed: UInt64, memory: LedgerMemory?) {
            (self.rollup, self.closed, self.memory) = (rollup, closed, memory)
        }
    }

    /// The same; what is to be done is asked when it is its turn: rules may have changed while it waited for long, and what is
    /// removed by an old one does not come back.
    /// - Parameter task: nil is nothing at all.
    /// - Returns: nil where nothing was wanted.
    public static func run(
        in folder: LedgerFolder, waits: (_ path: String) -> Void = { _ in }, _ task: () throws(StorageFault) -> Task?
    ) throws(StorageFault) -> Report? {
        // Of a ledger that was never opened there is nothing to add up, and no folder is made.
        guard try folder.files.status(path: folder.path) != nil else { return Report() }
        let turn = try LedgerTurn.take(in: folder, waits: waits)
        defer { turn.end() }
        guard let task = try task() else { return nil }
        return try task.rollup.addUp(closed: task.closed, task.memory)
    }

    /// The same, of who has his turn.
    func addUp(closed: UInt64, _ memory: LedgerMemory?) throws(StorageFault) -> Report {
        var report = Report()
        var there = try folder.list()
        let over = there.filter { $0.span.upperBound <= closed }
        try removeDrafts()
        if over.isEmpty { return report }
        try folder.files.makeFolder(folder.rollups)
        let shared = LedgerReader.Shared()
        for day in Set(over.lazy.filter { $0.level == nil }.map(\.span.lowerBound)).sorted() {
            // A rule of months alone adds nothing up until the month is over.
            if finest(of: day) == .month { continue }
            if finest == .hour { try write(LedgerFile(day: day, level: .hour), &there, memory, shared, &report) }
            try write(LedgerFile(day: day, level: .day), &there, memory, shared, &report)
        }
        for month in Set(over.map { Period.month.bounds(of: $0.span.lowerBound) }).sorted(by: {
            $0.lowerBound < $1.lowerBound
        })
        where month.upperBound <= closed {
            try write(LedgerFile(day: month.lowerBound, level: .month), &there, memory, shared, &report)
        }
        let days = over.filter { $0.level == nil }.sorted { $0.span.lowerBound < $1.span.lowerBound }
        for day in days where !report.damage.contains(where: { $0.span.overlaps(day.span) }) {
            try tidy(day, age: closed - day.span.upperBound, &report)
        }
        return report
    }

    private func finest(of day: UInt64) -> Period {
        finest == .month && parted.contains(Period.month.bounds(of: day).lowerBound) ? .day : finest
    }

    /// Where a process ended while it wrote one.
    private func removeDrafts() throws(StorageFault) {
        for place in [folder.path, folder.rollups] where try folder.files.status(path: place) != nil {
            let inRollups = place == folder.rollups
            for name in try folder.files.list(place) where LedgerFile.isDraft(name, inRollups: inRollups) {
                try folder.files.remove(place + "/" + name)
            }
        }
    }

    /// What of a day is no longer needed as it is.
    private func tidy(_ day: LedgerFile, age: UInt64, _ report: inout Report) throws(StorageFault) {
        let wantsRemoval = retention.map { age >= $0 } ?? false
        let wantsCompression =
            !day.isCompressed && report.notCompressed == nil && compression.map { age >= $0 } ?? false
        guard wantsRemoval || wantsCompression else { return }
        let sum = LedgerFile(day: day.span.lowerBound, level: finest(of: day.span.lowerBound))
        guard let seal = try? Seal.read(sum, in: folder), !seal.isFormer, seal.damaged == 0, try holds(seal, day) else {
            return
        }
        if wantsRemoval {
            try RemovedDays.note(day, in: folder)
            try folder.files.remove(folder.path(of: day))
            report.removed.append(day.path)
        } else {
            guard try hasNoOther(day) else { return }
            do throws(StorageFault) {
                try DayCompression(folder, day).run(compressor)
                report.compressed.append(day.compressed.path)
            } catch { report.notCompressed = error }
        }
    }

    /// Whether all lines of the day are in the sum. Read once more, for what is removed now can't be read later.
    private func holds(_ seal: Seal, _ day: LedgerFile) throws(StorageFault) -> Bool {
        let lines = try LinesOfFile(day, in: folder) { _ in }
        return lines.isSound && seal.ids.covers(lines.ids)
    }

    /// Whether a compressed file beside a plain one says no more than that: the process ended before it removed the plain
    /// one. Else the plain one was begun later, by a clock that went back, and both are kept.
    private func hasNoOther(_ day: LedgerFile) throws(StorageFault) -> Bool {
        if try folder.files.status(path: folder.path(of: day.compressed)) == nil { return true }
        let (plain, compressed) = (
            try LinesOfFile(day, in: folder) { _ in }, try LinesOfFile(day.compressed, in: folder) { _ in }
        )
        return compressed.isSound ? plain.ids == compressed.ids : plain.ids.covers(compressed.ids)
    }

    /// Writes sums of what there is, unless they are there and hold all of it. What a gateway could not write whole it cuts off
    /// meanwhile: then this begins anew.
    /// - Parameter there: the files of the ledger.
    private func write(
        _ sum: LedgerFile, _ there: inout [LedgerFile], _ memory: LedgerMemory?, _ shared: LedgerReader.Shared,
        _ report: inout Report
    ) throws(StorageFault) {
        try folder.look { () throws(StorageFault) in try writeOnce(sum, &there, memory, shared, &report) }
    }

    private func writeOnce(
        _ sum: LedgerFile, _ there: inout [LedgerFile], _ memory: LedgerMemory?, _ shared: LedgerReader.Shared,
        _ report: inout Report
    ) throws(StorageFault) {
        guard let level = sum.level else { return }
        let known = there.contains(sum) ? try Seal.read(sum, in: folder) : nil
        if let known, try isComplete(known, sum, there) { return }
        var query = UsageQuery(from: sum.span.lowerBound, to: sum.span.upperBound, by: level)
        // Of the lines, or of finer sums where they are gone; of the sum itself where these are gone as well.
        query.isForSums = level != .month
        var writer = try RollupWriter(folder, sum, level)
        let reader = try LedgerReader(folder, memory: memory, shared: shared, hasTurn: true)
        var fault: StorageFault?
        do throws(StorageFault) {
            try reader.read(query) { record, _ in
                guard fault == nil, sum.span.contains(record.from) else { return }
                do throws(StorageFault) { try writer.add(record) } catch { fault = error }
            }
            if let fault { throw fault }
            // What is finer is gone, or was never there.
            guard reader.damage.isEmpty, reader.tooCoarse.isEmpty, !reader.sources.isEmpty else {
                report.damage += reader.damage.filter { !report.damage.contains($0) }
                return writer.discard()
            }
            // Which of the lines that are missing were of this time and which were not can't be told by ids.
            guard reader.ambiguous.isEmpty else {
                report.damage += reader.ambiguous.filter { !report.damage.contains($0) }
                return writer.discard()
            }
            if let known, !known.isFormer, !reader.ids.covers(known.ids) {
                report.damage.append(
                    LedgerDamage(
                        file: sum.path, span: sum.span, lines: 1,
                        what: "holds lines that are nowhere else; it is kept as it is"))
                return writer.discard()
            }
            // What it was made of itself, where those files are gone.
            let isOwn = reader.sources.contains { $0.file == sum.path }
            let sources = reader.sources.filter { $0.file != sum.path } + (isOwn ? known?.of ?? [] : [])
            let damaged = reader.mended.reduce(reader.damagedBefore) { $0.addingClamped($1.lines) }
            try writer.finish(ids: reader.ids, of: sources, damaged: damaged, ends: reader.openingEnds)
        } catch {
            writer.discard()
            throw error
        }
        report.written.append(sum.path)
        if !there.contains(sum) { there.append(sum) }
    }

    /// Whether a sum holds all that is known of its time: whatever files there are now, it was made of them.
    private func isComplete(_ seal: Seal, _ sum: LedgerFile, _ there: [LedgerFile]) throws(StorageFault) -> Bool {
        for file in there where file != sum && sum.span.contains(file.span.lowerBound) {
            if file.level == nil {
                let size = try folder.size(of: file.path)
                if let source = seal.of.first(where: { $0.file == file.path && $0.size == size }),
                    source.begins(file.path, in: folder)
                {
                    continue
                }
                // Compressed, begun anew or read once more: who can't be told by its length is told by its ids.
                if try !seal.ids.covers(LinesOfFile(file, in: folder) { _ in }.ids) { return false }
            } else if file.level! < sum.level!, let finer = try Seal.read(file, in: folder), !seal.ids.covers(finer.ids)
            {
                return false
            }
        }
        return !seal.isFormer
    }
}
