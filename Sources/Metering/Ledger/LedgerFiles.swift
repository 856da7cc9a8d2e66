import Storage

/// A file of the ledger, by its name.
///
///     2026-11-23.jsonl                what was used on that day (UTC), interval by interval
///     2026-11-23.jsonl.gz             the same compressed, where that is wanted, once it is added up
///     rollup/2026-11-23.hour.jsonl    the same added up by hour, once the day is over
///     rollup/2026-11-23.day.jsonl     ... and by day
///     rollup/2026-11.month.jsonl      ... and by month, once that is over
///
/// All files of a day say the same, so that of two of them never both are read.
public struct LedgerFile: Sendable, Hashable {
    public static let rollupFolder = "rollup"

    /// The day or the month that it is of, in nanoseconds since 1970.
    public let span: Range<UInt64>
    /// What was added up in it; nil is nothing, the intervals themselves.
    public let level: Period?
    /// By gzip. Only a day's intervals are.
    public var isCompressed = false

    public init(day time: UInt64, level: Period? = nil) {
        span = (level == .month ? Period.month : .day).bounds(of: time)
        self.level = level
    }

    /// nil where `name` is no file of a ledger.
    init?(name: String, inRollups: Bool) {
        let compressed = !inRollups && name.hasSuffix(".gz")
        let suffix = compressed ? ".jsonl.gz" : ".jsonl"
        guard name.hasSuffix(suffix) else { return nil }
        let parts = name.dropLast(suffix.utf8.count).split(separator: ".", omittingEmptySubsequences: false)
        guard let time = Timestamp.parse(String(parts[0])), parts.count == (inRollups ? 2 : 1) else { return nil }
        var level: Period?
        if inRollups {
            guard let named = Period(rawValue: String(parts[1])) else { return nil }
            level = named
        }
        self.init(day: time, level: level)
        isCompressed = compressed
        guard self.name == name else { return nil }
    }

    var name: String {
        let day = Timestamp.dayText(span.lowerBound)
        guard let level else { return day + (isCompressed ? ".jsonl.gz" : ".jsonl") }
        return (level == .month ? String(day.prefix(7)) : day) + "." + level.rawValue + ".jsonl"
    }

    /// The same day's intervals, compressed.
    var compressed: LedgerFile {
        var file = self
        file.isCompressed = true
        return file
    }

    /// From the ledger's folder.
    public var path: String { level == nil ? name : Self.rollupFolder + "/" + name }
}

extension LedgerFile {
    /// The fewest files that answer a query, in the order of time: of each day or month the one that was added up most,
    /// as long as neither the query's periods nor its bounds are finer; else the finest there is.
    static func selection(of files: some Sequence<LedgerFile>, for query: UsageQuery) -> [LedgerFile] {
        var months: [UInt64: [LedgerFile]] = [:]
        for file in files where file.span.upperBound > query.from ?? 0 && file.span.lowerBound < query.to ?? .max {
            months[Period.month.bounds(of: file.span.lowerBound).lowerBound, default: []].append(file)
        }
        return months.keys.sorted().flatMap { month -> [LedgerFile] in
            let all = months[month] ?? []
            let whole = all.first { $0.level == .month }
            if let whole, whole.isFineEnough(for: query) { return [whole] }
            var days: [UInt64: [LedgerFile]] = [:]
            for file in all where file.level != .month { days[file.span.lowerBound, default: []].append(file) }
            if days.isEmpty, let whole { return [whole] }
            return days.keys.sorted().compactMap { day in
                let ofDay = (days[day] ?? []).sorted { $0.coarseness < $1.coarseness }
                return ofDay.last { $0.isFineEnough(for: query) } ?? ofDay.first
            }
        }
    }

    private var coarseness: Int {
        switch level {
        case nil: 0
        case .hour: 1
        case .day: 2
        case .month: 3
        }
    }

    private func isFineEnough(for query: UsageQuery) -> Bool {
        guard let level else { return true }
        if let by = query.by, LedgerFile(day: 0, level: by).coarseness < coarseness { return false }
        return [query.from, query.to].allSatisfy { bound in
            guard let bound, bound > span.lowerBound, bound < span.upperBound else { return true }
            return level.bounds(of: bound).lowerBound == bound
        }
    }
}

/// The folder of a ledger.
public struct LedgerFolder: Sendable {
    public let path: String
    let files: any FileOperations

    public init(_ path: String, files: any FileOperations = DiskFiles()) { (self.path, self.files) = (path, files) }

    var rollups: String { path + "/" + LedgerFile.rollupFolder }

    func path(of file: LedgerFile) -> String { path + "/" + file.path }

    /// Where to read a file that was there a moment ago: it may have been compressed since.
    func readPath(of file: LedgerFile) throws(StorageFault) -> String {
        let plain = path(of: file)
        if file.level != nil || file.isCompressed { return plain }
        if try files.status(path: plain) != nil { return plain }
        let compressed = path(of: file.compressed)
        return try files.status(path: compressed) == nil ? plain : compressed
    }

    /// What is there; nothing where there is no folder. Of a day that is there plain and compressed the plain one: the
    /// other is not known to be whole.
    func list() throws(StorageFault) -> [LedgerFile] {
        var found: [LedgerFile] = []
        if try files.status(path: path) != nil {
            for name in try files.list(path) {
                if let file = LedgerFile(name: name, inRollups: false) { found.append(file) }
            }
            let plain = Set(found.lazy.filter { !$0.isCompressed }.map(\.compressed))
            found.removeAll { plain.contains($0) }
        }
        if try files.status(path: rollups) != nil {
            for name in try files.list(rollups) {
                if let file = LedgerFile(name: name, inRollups: true) { found.append(file) }
            }
        }
        return found
    }
}
