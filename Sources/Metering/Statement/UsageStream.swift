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
        let (files, foreign) = try folder.contents()
        var spans = Set(files.map { Period.month.bounds(of: $0.span.lowerBound) })
        if query.by != .month, !query.acceptsCoarse {
            // Of a month without days there is nothing finer.
            let days = Set(files.lazy.filter { $0.level != .month }.map(\.span))
            spans = spans.filter { month in !days.contains { month.overlaps($0) } }.union(days)
        }
        // What is in the place of a file is named with its time, whether there is another file of it or not.
        spans = spans.union(foreign.map(\.span).filter { span in !spans.contains { span.overlaps($0) } })
        // Whatever is missing from the end of the ledger is missing from its last day.
        if spans.isEmpty, let closed = memory?.closed { spans.insert(Period.day.bounds(of: closed)) }
        self.spans = spans.filter { query.overlaps($0) }.sorted { $0.lowerBound < $1.lowerBound }
    }

    /// Calls `body` with one statement after the other; it returns false to stop.
    public func forEach(_ body: (Statement) throws -> Bool) throws {
        for (index, span) in spans.enumerated() {
            var part = query
            part.from = max(span.lowerBound, query.from ?? 0)
            part.to = min(span.upperBound, query.to ?? .max)
            if index == spans.count - 1, query.to == nil { part.to = nil }
            guard try body(Statement(folder, query: part, memory: memory)) else { return }
        }
    }
}
