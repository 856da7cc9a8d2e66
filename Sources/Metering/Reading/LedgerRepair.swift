import Base
import Storage

/// Rebuilds what can be rebuilt: days from their good lines, wherever they stand, and from what totals tell; sums from lines.
/// Files that it changes are kept beside the new ones, as `NAME.damaged`: what could not be read by this may be read by
/// somebody else.
extension LedgerCheck {
    /// What a repair would do, a line each; empty where there is nothing to do.
    public var plan: [String] {
        let lines = days.map { day in
            let kept = files(of: day).map { "; \($0.path) is kept as \(Self.keptName(of: $0.path))" }.joined()
            return "\(LedgerFile(day: day).path): written anew, of its good lines and what totals tell" + kept
        }
        return lines
            + brokenSums.map(\.path).sorted().map { "\($0): added up anew; it is kept as \(Self.keptName(of: $0))" }
    }

    private static func keptName(of path: String) -> String { path + ".damaged" }

    /// Days whose lines are written anew. Of one that is damaged for good everything stays as it is: what can't be made
    /// good must not be taken for whole.
    private var days: [UInt64] {
        let hopeless = Set(reader.files.filter { file in damage.contains { $0.file == file.path } }.map(\.span.lowerBound))
        let named = Set((mendable + repeated).map(\.file))
        var days = Set(reader.files.filter { $0.level == nil && named.contains($0.path) }.map(\.span.lowerBound))
        for record in reader.mendedRecords { days.insert(Period.day.bounds(of: record.from).lowerBound) }
        // Lines are not taken away from where they are before they are where they belong.
        let areStraysLeft = !hopeless.isDisjoint(with: reader.strayDays)
        if areStraysLeft { days.subtract(reader.strayFiles.map(\.span.lowerBound)) } else { days.formUnion(reader.strayDays) }
        return days.subtracting(hopeless).sorted()
    }

    private func files(of day: UInt64) -> [LedgerFile] {
        reader.files.filter { $0.level == nil && $0.span.lowerBound == day }
    }

    /// Does it. For who has the ledger alone, and took his turn before he looked what is to be done. What is written anew is
    /// there whole or not at all, and at any moment each line is in one file at least.
    public func repair() throws(StorageFault) {
        let days = days
        for day in days { for file in files(of: day) { try keep(file) } }
        // First all lines are where they belong, then nowhere else.
        for day in days { try rewrite(day, keepsStrays: true) }
        for day in days where reader.strayFiles.contains(where: { $0.span.lowerBound == day }) {
            try rewrite(day, keepsStrays: false)
        }
        for file in brokenSums {
            try keep(file)
            try folder.files.remove(folder.path(of: file))
        }
        let finest: Period =
            brokenSums.contains { $0.level == .hour } ? .hour : brokenSums.contains { $0.level == .day } ? .day : .month
        if !brokenSums.isEmpty {
            let end = brokenSums.map(\.span.upperBound).max()!
            _ = try Rollup(folder, finest: finest, retention: nil).addUp(closed: end, memory)
        }
    }

    /// A copy under a name that nobody takes for a file of the ledger.
    private func keep(_ file: LedgerFile) throws(StorageFault) {
        let path = folder.path(of: file)
        var place = Self.keptName(of: path)
        var number = 1
        while try folder.files.status(path: place) != nil {
            number += 1
            place = "\(Self.keptName(of: path)).\(number)"
        }
        let input = try folder.files.open(path, writing: false)
        defer { folder.files.close(input) }
        try write(place) { output throws(StorageFault) in
            var room = [UInt8](repeating: 0, count: 1 << 20)
            var offset = 0
            while true {
                let count = try folder.files.read(input, into: &room, 0..<room.count, at: offset)
                if count == 0 { break }
                try folder.files.write(output, all: Array(room[..<count]), at: offset)
                offset += count
            }
        }
        try folder.files.syncFolder(file.level == nil ? folder.path : folder.rollups)
    }

    /// Whole, and on the disk before it has its name. Nothing is left of it where it fails.
    private func write(
        _ place: String, _ body: (_ output: Int32) throws(StorageFault) -> Void
    ) throws(StorageFault) {
        let draft = place + ".draft"
        try folder.files.remove(draft)
        let output = try folder.files.open(draft, writing: true)
        defer { folder.files.close(output) }
        do throws(StorageFault) {
            try body(output)
            try folder.files.sync(output)
            try folder.files.rename(draft, to: place)
        } catch {
            try? folder.files.remove(draft)
            throw error
        }
    }

    /// All good lines of a day, in the order of their ids. It is a plain file then.
    private func rewrite(_ day: UInt64, keepsStrays: Bool) throws(StorageFault) {
        let span = Period.day.bounds(of: day)
        var records: [UsageRecord] = []
        var seen = RecordRanges()
        func take(_ record: UsageRecord) { if seen.insert(record.id) { records.append(record) } }
        let files = try folder.list().filter { $0.level == nil }
        for file in files where file.span == span {
            _ = try LinesOfFile(file, in: folder, strays: { if keepsStrays { take($0) } }, take)
        }
        if keepsStrays {
            for file in files where file.span != span && reader.strayFiles.contains(file) {
                _ = try LinesOfFile(file, in: folder, strays: { if span.contains($0.from) { take($0) } }) { _ in }
            }
            for record in reader.mendedRecords where span.contains(record.from) { take(record) }
        }
        records.sort { ($0.id.node, $0.id.place) < ($1.id.node, $1.id.place) }
        var lines: [UInt8] = []
        for record in records { record.write(to: &lines) }
        let plain = folder.path(of: LedgerFile(day: day))
        try write(plain) { output throws(StorageFault) in try folder.files.write(output, all: lines, at: 0) }
        for file in files where file.span == span && file.isCompressed {
            try folder.files.remove(folder.path(of: file))
        }
        try folder.files.syncFolder(folder.path)
    }
}
