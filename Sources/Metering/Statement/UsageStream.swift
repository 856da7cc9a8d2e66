import Base
import Storage

/// Usage of all tenants by period, a day or a month of the ledger at a time: however long the time that is asked for, only
/// so much of it is in memory.
public struct UsageStream {
    private let folder: LedgerFolder
    private let query: UsageQuery
    private let memory: LedgerMemory?
    /// What is read at once, in the order of time.
    private let spans: [Range<UInt64>]

    public init(_ folder: LedgerFolder, query: UsageQuery, memory: LedgerMemory? = nil) throws(StorageFault) {
        (self.folder, self.query, self.memory) = (folder, query, memory)
        spans = try folder.look { () throws(StorageFault) in try Self.spans(folder, query, memory) }
    }

    private static func spans(
        _ folder: LedgerFolder, _ query: UsageQuery, _ memory: LedgerMemory?
    ) throws(StorageFault) -> [Range<UInt64>] {
        let (files, foreign) = try folder.contents()
        var spans = Set(files.map { Period.month.bounds(of: $0.span.lowerBound) })
        if query.by != .month {
            // Of a month without days there is nothing finer, nor of one of which the sum holds more than they do.
            let days = Set(files.lazy.filter { $0.level != .month }.map(\.span))
            let whole = query.acceptsCoarse ? try LedgerReader(folder, memory: memory).coarseMonths : []
            spans = spans.filter { month in whole.contains(month) || !days.contains { month.overlaps($0) } }
            spans.formUnion(days.filter { day in !spans.contains { $0.overlaps(day) } })
        }
        // What is in the place of a file is named with its time, whether there is another file of it or not.
        spans = spans.union(foreign.map(\.span).filter { span in !spans.contains { span.overlaps($0) } })
        // Whatever is missing from the end of the ledger is missing from its last day.
        if spans.isEmpty, let closed = memory?.closed { spans.insert(Period.day.bounds(of: closed)) }
        return spans.filter { query.overlaps($0) }.sorted { $0.lowerBound < $1.lowerBound }
    }

    /// Calls `body` with one statement after the other; it returns false to stop. Together they are of all that was asked
    /// for, with days of which there is no file.
    public func forEach(_ body: (Statement) throws -> Bool) throws {
        let shared = LedgerReader.Shared()
        for (index, span) in spans.enumerated() {
            var part = query
            if index > 0 { part.from = max(span.lowerBound, query.from ?? 0) }
            if index + 1 < spans.count { part.to = min(spans[index + 1].lowerBound, query.to ?? .max) }
            guard try body(Statement(folder, query: part, memory: memory, shared: shared)) else { return }
        }
    }
}
