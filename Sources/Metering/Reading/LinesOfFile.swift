import Base
import Storage

/// The good lines of a file, and what is wrong with it.
///
/// A line belongs to the day on which its interval begins. One that stands in another day's file is a stray: what it says is
/// good, and it is of its own day, wherever it stands.
struct LinesOfFile {
    /// Good lines in the order of the file whose ids follow each other.
    struct Stretch {
        var first: RecordID
        var last: RecordID
        /// When the first and the last of them began.
        var from: UInt64
        var end: UInt64
        /// Of the first of them.
        var dayBefore: UInt64?
        var before: RecordID?
        var isStray: Bool
    }
    /// Lines that follow each other and are not as they were written, and the good ones around them.
    struct BadRun {
        /// From 1.
        var line: Int
        var count: Int
        var after: RecordID?
        var before: RecordID?
    }

    let file: LedgerFile
    /// Of the lines that belong there.
    private(set) var ids = RecordRanges()
    /// Of those that don't.
    private(set) var strays = RecordRanges()
    private(set) var repeated = 0
    private(set) var stretches: [Stretch] = []
    private(set) var bad: [BadRun] = []
    /// Why it could not be read to its end.
    private(set) var fault: String?
    private var firstStray: (line: Int, day: UInt64)?

    /// - Parameters:
    ///   - strays: gets the lines of other days.
    ///   - body: gets the lines that belong there.
    init(
        _ file: LedgerFile, in folder: LedgerFolder, strays: (UsageRecord) -> Void = { _ in },
        _ body: (UsageRecord) -> Void
    ) throws(StorageFault) {
        self.file = file
        var number = 0
        do throws(StorageFault) {
            try JournalReader(folder.files).lines(folder.readPath(of: file)) { line, isGood in
                number += 1
                guard isGood, let record = UsageRecord(line) else {
                    if file.level == nil || !isGood { addBad(number) }
                    return true
                }
                // Sums of one file may share an id with none, and are told by their seal.
                if file.level != nil {
                    body(record)
                } else if add(record, number) {
                    if file.span.contains(record.from) { body(record) } else { strays(record) }
                }
                return true
            }
        } catch {
            if error.isGone { throw error }
            // Added up and removed since the folder was listed.
            let path = try folder.readPath(of: file)
            guard try folder.files.status(path: path) != nil else { throw .gone(path) }
            // What it held is for ids and totals to tell.
            fault = "\(error)"
        }
    }

    private mutating func addBad(_ number: Int) {
        if let last = bad.last, last.line + last.count == number {
            bad[bad.count - 1].count += 1
        } else {
            bad.append(BadRun(line: number, count: 1, after: stretches.last?.last))
        }
    }

    /// False where the same line was there before.
    private mutating func add(_ record: UsageRecord, _ number: Int) -> Bool {
        let isStray = !file.span.contains(record.from)
        let range = record.range
        if isStray ? !strays.insert(record.id) : !ids.insert(record.id) {
            repeated += 1
            return false
        }
        if range.first != range.last {
            if isStray { strays.insert(range) } else { ids.insert(range) }
        }
        if isStray, firstStray == nil { firstStray = (number, record.from - record.from % Timestamp.day) }
        let isBehindBad = bad.last.map { $0.line + $0.count == number } ?? false
        if isBehindBad { bad[bad.count - 1].before = range.first }
        if !isBehindBad, let last = stretches.last, last.last.next == range.first, last.isStray == isStray,
            record.before == nil, record.dayBefore == nil, last.end <= record.from,
            !isStray || last.end / Timestamp.day == record.from / Timestamp.day
        {
            stretches[stretches.count - 1].last = range.last
            stretches[stretches.count - 1].end = record.from
        } else {
            stretches.append(
                Stretch(
                    first: range.first, last: range.last, from: record.from, end: record.from,
                    dayBefore: record.dayBefore,
                    before: record.before, isStray: isStray))
        }
        return true
    }

    /// Whether every line is as it was written, and where it belongs.
    var isSound: Bool { bad.isEmpty && fault == nil && strays.isEmpty }

    func damage(_ run: BadRun) -> LedgerDamage {
        let what =
            run.count == 1 ? "is not as it was written" : "\(run.count) lines from here on are not as they were written"
        return LedgerDamage(file: file.path, span: file.span, line: run.line, lines: run.count, what: what)
    }

    /// What can't be read of it.
    var unreadable: LedgerDamage? {
        fault.map { LedgerDamage(file: file.path, span: file.span, lines: 1, what: "can't be read: \($0)") }
    }

    /// Its lines of other days.
    var misplaced: LedgerDamage? {
        guard let firstStray else { return nil }
        let (count, day) = (strays.count, Timestamp.dayText(firstStray.day))
        let what =
            count == 1
            ? "is a line of \(day), and counts there"
            : "here and behind are \(count) lines of other days, the first of \(day), and count there"
        return LedgerDamage(file: file.path, span: file.span, line: firstStray.line, lines: count, what: what)
    }
}

extension UsageRecord {
    /// The ids that it stands for: one, unless it was made of the totals around several lines.
    var range: RecordRanges.Range {
        guard let rolledUp, rolledUp.last == id, rolledUp.first.node == id.node, rolledUp.first.epoch == id.epoch,
            rolledUp.first.place <= id.place
        else { return RecordRanges.Range(first: id, last: id) }
        return RecordRanges.Range(first: rolledUp.first, last: id)
    }
}

extension RecordID {
    /// The one behind it.
    var next: RecordID { RecordID(node: node, place: place + 1) }
}
