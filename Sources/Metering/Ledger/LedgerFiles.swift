import Base
import Storage

/// A file of the ledger, by its name.
///
///     2026-11-23.jsonl                what was used on that day (UTC), interval by interval
///     2026-11-23.jsonl.gz             the same compressed, where that is wanted, once it is added up
///     rollup/2026-11-23.hour.jsonl    the same added up by hour, once the day is over
///     rollup/2026-11-23.day.jsonl     ... and by day
///     rollup/2026-11.month.jsonl      ... and by month, once that is over
///
/// A file of sums ends with a seal that names the lines which it is the sum of: whoever reads it knows what it holds, and
/// which lines were added to its days since.
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

    /// Whether `name` is what is left where a process ended while it wrote a file of a ledger, or a repair the copy that it keeps
    /// of one (`NAME.damaged.2.draft`).
    static func isDraft(_ name: String, inRollups: Bool) -> Bool {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.popLast() == "draft" else { return false }
        if let kept = parts.firstIndex(of: "damaged") { parts.removeSubrange(kept...) }
        return LedgerFile(name: parts.joined(separator: "."), inRollups: inRollups) != nil
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
    /// Of the same time the finest first.
    static func isLater(_ one: LedgerFile, _ other: LedgerFile) -> Bool {
        if one.span.upperBound != other.span.upperBound { return one.span.upperBound > other.span.upperBound }
        if one.level == other.level { return !one.isCompressed && other.isCompressed }
        guard let level = one.level else { return true }
        return other.level.map { level < $0 } ?? false
    }

    /// Whether its periods are no coarser than the query's, and none of the query's bounds cuts one in two.
    func isFineEnough(for query: UsageQuery) -> Bool {
        guard let level else { return true }
        if let by = query.by, by < level { return false }
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

    /// Of the first good line of a file; nil where there is none, or nothing can be read.
    func firstID(of path: String) -> RecordID? {
        var first: RecordID?
        do throws(StorageFault) {
            try JournalReader(files).forward(self.path + "/" + path) { line in
                first = UsageRecord(line)?.id
                return first == nil
            }
        } catch { return nil }
        return first
    }

    /// When the day of its last line is over, in nanoseconds since 1970; zero of a ledger without lines. So far a ledger itself
    /// tells what is over: no clock that is ahead does.
    public var end: UInt64 {
        get throws(StorageFault) {
            for file in try list().sorted(by: LedgerFile.isLater) {
                var end: UInt64 = 0
                func take(_ line: UnsafeRawBufferPointer) -> Bool {
                    guard let record = UsageRecord(line) else { return true }
                    end = max(end, Period.day.bounds(of: max(record.to, record.from + 1) - 1).upperBound)
                    return file.isCompressed
                }
                let reader = JournalReader(files)
                do throws(StorageFault) {
                    if file.isCompressed { try reader.forward(path(of: file), take) } else { try reader.backward(path(of: file), take) }
                } catch {
                    // What can't be read tells nothing.
                }
                if end > 0 { return end }
            }
            return 0
        }
    }

    /// Whether anything in it can be read.
    public var hasLines: Bool {
        get throws(StorageFault) { try list().contains { $0.level != nil || $0.isCompressed || firstID(of: $0.path) != nil } }
    }

    /// How long a compressed file was before, modulo 2^32, as its last four bytes say (RFC 1952 section 2.3.1).
    func unpackedSize(of path: String) -> UInt32? {
        do throws(StorageFault) {
            let file = try files.open(self.path + "/" + path, writing: false)
            defer { files.close(file) }
            var end: [UInt8] = [0, 0, 0, 0]
            let size = try files.status(file).size
            guard size >= end.count, try files.read(file, into: &end, 0..<4, at: size - 4) == 4 else { return nil }
            return end.reversed().reduce(0) { $0 << 8 | UInt32($1) }
        } catch { return nil }
    }

    /// Bytes of a file; nil where it is not there.
    func size(of path: String) throws(StorageFault) -> Int? { try files.status(path: self.path + "/" + path)?.size }

    /// What is there; nothing where there is no folder. Of a day that is there plain and compressed both: the plain one may
    /// hold what was compressed or what came later, and ids tell which.
    func list() throws(StorageFault) -> [LedgerFile] { try contents().files }

    /// The same, and what is named like a file and is none: a pipe, a device, a link that leads nowhere. Folders that are
    /// named like files are nobody's.
    func contents() throws(StorageFault) -> (files: [LedgerFile], foreign: [LedgerDamage]) {
        var (found, foreign): ([LedgerFile], [LedgerDamage]) = ([], [])
        for (folder, inRollups) in [(path, false), (rollups, true)] where try files.status(path: folder) != nil {
            for name in try files.list(folder) {
                guard let file = LedgerFile(name: name, inRollups: inRollups) else { continue }
                var fault: String?
                do throws(StorageFault) {
                    let path = path(of: file)
                    if let status = try files.status(path: path) {
                        if status.fault == .folder { continue }
                        fault = status.fault?.description
                    } else if RegularFile.isLink(path) {
                        fault = "it is a link that leads nowhere"
                    }
                    // Else it was taken away just now, and who reads it begins anew.
                } catch { fault = "\(error)" }
                guard let fault else {
                    found.append(file)
                    continue
                }
                foreign.append(LedgerDamage(file: file.path, span: file.span, lines: 1, what: "can't be read: \(fault)"))
            }
        }
        return (found, foreign)
    }
}
