import Base
import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

extension LedgerMemory {
    /// What a table in memory knows.
    init(_ table: SimulatedTable) {
        let node = UInt32(truncatingIfNeeded: table.header[LedgerState.node.rawValue])
        let last = LedgerState.last.id(of: node, in: table)
        var totals: [Account: UsageCounters] = [:]
        for (index, account) in table.accounts.enumerated() where !table.released.contains(index) {
            var counters = UsageCounters()
            for word in counters.words.indices { counters.words[word] = table.words[index][3 + word] }
            totals[account] = counters
        }
        self.init(
            node: node, last: last, fileFirst: LedgerState.fileFirst.value(in: table),
            fileDay: LedgerState.fileDay.value(in: table), released: LedgerState.released.value(in: table),
            closed: LedgerState.closed.value(in: table), isWritten: true, totals: totals)
    }
}

/// A ledger of some days with four accounts, in two openings, and what is true of it.
struct Story {
    let folder: LedgerFolder
    let path: String
    let table = SimulatedTable()
    private(set) var end: UInt64 = 0
    /// By account and day.
    private(set) var truth: [Account: [UInt64: Usage]] = [:]
    var memory: LedgerMemory { LedgerMemory(table) }
    static let day: UInt64 = 86_400 * second

    init(_ path: String, days: Int = 4, closings: Int = 24, seed: UInt64 = 1) throws {
        (self.path, folder) = (path, LedgerFolder(path))
        var random = SeededGenerator(state: seed)
        for account in [
            Account(tenant: "a"), Account(tenant: "b"), Account(tenant: "c"), Account(tenant: "a", key: "k"),
        ] {
            table.add(account)
        }
        let start = try #require(Timestamp.parse("2026-10-29T00:00:00Z"))
        end = start
        var ledger: Ledger<SimulatedTable>? = try LedgerTests.open(table, path, at: start).ledger
        for closing in 0..<closings {
            if closing == closings / 2 {
                ledger = nil
                table.epoch += 1
                ledger = try LedgerTests.open(table, path, at: end).ledger
            }
            let from = end
            let before = table.counted
            for slot in 0..<4 where Int.random(in: 0..<3, using: &random) > 0 { table.use(slot, &random) }
            end += UInt64(days) * Self.day / UInt64(closings)
            try ledger?.close(at: end)
            for slot in 0..<4 {
                let usage = Usage(from: before[slot], to: table.counted[slot])
                truth[table.accounts[slot], default: [:]][from - from % Self.day, default: Usage()].add(usage)
            }
        }
        // A day on which nothing is over yet.
        end += Self.day
        try ledger?.close(at: end)
    }

    /// What the rows of all tenants should be by day.
    var rows: [String: Usage] {
        var rows: [String: Usage] = [:]
        for (account, days) in truth where account.key == nil {
            for (day, usage) in days where usage != Usage() {
                rows["\(account.tenant) \(Timestamp.dayText(day))"] = usage
            }
        }
        return rows
    }

    func said(_ query: UsageQuery = UsageQuery(by: .day), hasMemory: Bool = true) throws -> (
        rows: [String: Usage], Statement
    ) {
        let statement = try Statement(folder, query: query, memory: hasMemory ? memory : nil)
        var rows: [String: Usage] = [:]
        for row in statement.rows {
            rows["\(row.tenant) \(Timestamp.dayText(row.from))", default: Usage()].add(row.usage)
        }
        return (rows.filter { $0.value != Usage() }, statement)
    }

    func rollUp(_ finest: Period, retention: UInt64? = nil) throws -> Rollup.Report {
        try Rollup(folder, finest: finest, retention: retention).run(closed: end, memory: memory)
    }

    /// All files but the lock.
    var files: [String] {
        let all = FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []
        return all.filter { $0.hasSuffix(".jsonl") }.sorted()
    }

    func content(_ file: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path + "/" + file) ?? Data()) }
    func write(_ bytes: [UInt8], _ file: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + file))
    }
}

@Suite("Damage is never silent") struct DamageTests {
    /// Ways to damage a file, some hundred for each.
    static func damages(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [(String, [UInt8]?)] {
        var all: [(String, [UInt8]?)] = [("gone", nil), ("emptied", [])]
        let lines = bytes.split(separator: 0x0A).map { Array($0) + [0x0A] }
        for index in lines.indices {
            var rest = lines
            rest.remove(at: index)
            all.append(("without line \(index + 1)", Array(rest.joined())))
            all.append(("with line \(index + 1) twice", Array((lines[...index] + lines[index...]).joined())))
            if index > 0 { all.append(("cut in front of line \(index + 1)", Array(lines[..<index].joined()))) }
            if index > 1 { all.append(("without its first \(index)", Array(lines[index...].joined()))) }
        }
        for _ in 0..<20 {
            var changed = bytes
            let place = Int.random(in: bytes.indices, using: &random)
            changed[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            all.append(("bit of byte \(place) flipped", changed))
            all.append(("cut at byte \(place)", Array(bytes[..<place])))
        }
        return all
    }

    @Test(
        "whatever one file looks like, the rows are true or the damage is named",
        arguments: [Period?.none, .hour, .day, .month], [nil, UInt64(0)])
    func anything(finest: Period?, retention: UInt64?) throws {
        try withFolder { path in
            let story = try Story(path)
            if let finest { #expect(try story.rollUp(finest, retention: retention).damage.isEmpty) }
            let expected = story.rows
            let isKept = finest != .month || retention == nil
            if isKept { #expect(try story.said().rows == expected) }
            var random = SeededGenerator(state: 5)
            var (mended, named) = (0, 0)
            for file in story.files {
                let bytes = story.content(file)
                for (how, changed) in Self.damages(bytes, &random).shuffled(using: &random).prefix(12) {
                    if let changed {
                        try story.write(changed, file)
                    } else {
                        try FileManager.default.removeItem(atPath: path + "/" + file)
                    }
                    for by in [Period.day, .month] where by == .month || isKept {
                        let (rows, statement) = try story.said(UsageQuery(by: by))
                        var wanted = expected
                        if by == .month {
                            wanted = [:]
                            for (name, usage) in expected {
                                wanted[name.dropLast(2) + "01", default: Usage()].add(usage)
                            }
                        }
                        let isTrue = rows == wanted && statement.tooCoarse.isEmpty
                        let isNamed = !statement.damage.isEmpty || !statement.tooCoarse.isEmpty
                        #expect(isTrue || isNamed, "\(file) \(how), by \(by)")
                        if isTrue { mended += 1 } else { named += 1 }
                        if isNamed, statement.tooCoarse.isEmpty {
                            #expect(statement.damage.contains { !$0.file.isEmpty })
                        }
                    }
                }
                try story.write(bytes, file)
            }
            // Most of it is made good: lines by totals and by sums, sums by lines.
            if retention == nil { #expect(mended > named * 2, "\(mended) mended, \(named) named") }
        }
    }

    @Test("a line twice counts once, and its neighbours' totals say what a damaged one said")
    func oneLine() throws {
        try withFolder { path in
            let story = try Story(path)
            let file = story.files[1]
            let lines = story.content(file).split(separator: 0x0A).map { Array($0) + [0x0A] }
            try story.write(Array((lines + [lines[3]]).joined()), file)
            var (rows, statement) = try story.said()
            #expect(rows == story.rows && statement.damage.isEmpty && statement.repeated == 1)
            for index in lines.indices {
                var changed = lines
                changed[index][40] ^= 1
                try story.write(Array(changed.joined()), file)
                (rows, statement) = try story.said()
                #expect(rows == story.rows && statement.damage.isEmpty, "line \(index + 1): \(statement.damage)")
                #expect(statement.mended.map(\.file) == [file] && statement.mended[0].line == index + 1)
            }
        }
    }

    @Test("a repair rebuilds lines from totals and sums from lines, and finds nothing to do after")
    func repair() throws {
        try withFolder { path in
            let story = try Story(path)
            #expect(try story.rollUp(.hour).written.count > 6)
            var random = SeededGenerator(state: 9)
            for file in story.files {
                let bytes = story.content(file)
                for (how, changed) in Self.damages(bytes, &random).shuffled(using: &random).prefix(6)
                where changed != nil {
                    try story.write(changed!, file)
                    let check = try LedgerCheck(story.folder, memory: story.memory)
                    if check.damage.isEmpty, changed! != bytes {
                        try check.repair()
                        let after = try LedgerCheck(story.folder, memory: story.memory)
                        #expect(
                            after.damage.isEmpty && after.mendable.isEmpty && after.repeated.isEmpty,
                            "\(file) \(how): \(after.damage) \(after.mendable) \(after.repeated)")
                    }
                    #expect(try story.said().rows == story.rows || !check.damage.isEmpty, "\(file) \(how)")
                    try story.write(bytes, file)
                }
            }
        }
    }

    @Test("nothing of a damaged day is added up or removed, nor of one whose lines were made good", arguments: [false, true])
    func retention(isMended: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            // A day next to it may be kept as well.
            let (file, other) = (story.files[1], story.files[3])
            var bytes = story.content(file)
            if isMended { bytes[40] ^= 1 } else { bytes = [] }
            try story.write(bytes, file)
            let rollup = Rollup(story.folder, finest: .hour, retention: 0)
            let report = try rollup.run(closed: story.end, memory: isMended ? story.memory : nil)
            #expect(report.damage.isEmpty == isMended)
            #expect(!report.removed.contains(file) && report.removed.contains(other))
            #expect(story.content(file) == bytes)
            if !isMended { #expect(!report.written.contains { $0.contains(file.prefix(10)) }) }
        }
    }

    @Test("a folder that is named like a day stops nothing")
    func foreign() throws {
        try withFolder { path in
            let story = try Story(path)
            try FileManager.default.createDirectory(
                atPath: path + "/2026-10-20.jsonl", withIntermediateDirectories: false)
            let (rows, statement) = try story.said()
            #expect(rows == story.rows && statement.damage.isEmpty)
            #expect(try story.rollUp(.hour).damage.isEmpty)
            let opened = try LedgerTests.open(story.table, path, at: story.end)
            #expect(opened.recovery == Recovery())
        }
    }
}

@Suite("Sums and the days they stand for") struct SumTests {
    @Test(
        "a changed rule loses nothing, however it changes", arguments: [Period.hour, .day, .month],
        [Period.hour, .day, .month])
    func ruleChange(before: Period, after: Period) throws {
        try withFolder { path in
            let story = try Story(path, days: 40, closings: 160)
            let middle = try #require(Timestamp.parse("2026-11-20"))
            _ = try Rollup(story.folder, finest: before, retention: 0).run(closed: middle)
            _ = try Rollup(story.folder, finest: after, retention: 0).run(closed: story.end)
            let (_, statement) = try story.said(UsageQuery(by: .month))
            #expect(
                statement.damage.isEmpty && statement.tooCoarse.isEmpty, "\(statement.damage) \(statement.tooCoarse)")
            for tenant in ["a", "b", "c"] {
                var whole = Usage()
                for row in statement.rows where row.tenant == tenant { whole.add(row.usage) }
                var wanted = Usage()
                for usage in story.truth[Account(tenant: tenant)]!.values { wanted.add(usage) }
                #expect(whole == wanted)
            }
        }
    }

    @Test("a line that comes late is seen, whatever was made of its day", arguments: [nil, UInt64(0)], [false, true])
    func late(retention: UInt64?, isCompressed: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            _ = try Rollup(story.folder, finest: .hour, retention: retention, compression: isCompressed ? 0 : nil).run(
                closed: story.end)
            // A clock that was wrong has gone back: three days and a month.
            var ledger: Ledger<SimulatedTable>? = nil
            story.table.epoch += 1
            ledger = try LedgerTests.open(story.table, path, at: story.end).ledger
            let back = story.end - 3 * Story.day
            try ledger?.close(at: back)
            story.table.counted[0][.admitted] += 1000
            try ledger?.close(at: back + 5 * second)
            let day = back - back % Story.day
            func check(_ note: Comment) throws {
                for by in [Period.hour, .day, .month] {
                    let (_, statement) = try story.said(UsageQuery(tenant: "a", by: by))
                    #expect(statement.damage.isEmpty, note)
                    let wanted = story.truth[Account(tenant: "a")]!.values.reduce(1000) { $0 + $1.admitted }
                    #expect(statement.rows.reduce(0) { $0 + $1.usage.admitted } == wanted, note)
                }
                let (rows, _) = try story.said()
                #expect(
                    rows["a \(Timestamp.dayText(day))"]!.admitted == 1000
                        + story.truth[Account(tenant: "a")]![day]!.admitted, note)
            }
            try check("before")
            for _ in 0..<2 {
                let report = try Rollup(
                    story.folder, finest: .hour, retention: retention, compression: isCompressed ? 0 : nil
                ).run(closed: story.end)
                #expect(report.damage.isEmpty)
                try check("after")
            }
        }
    }

    @Test("lines that came after a day's sum are not in it, although they are compressed with the others")
    func compressedLater() throws {
        try withFolder { path in
            let story = try Story(path)
            _ = try story.rollUp(.day)
            story.table.epoch += 1
            let (ledger, _) = try LedgerTests.open(story.table, path, at: story.end)
            try ledger.close(at: story.end - 3 * Story.day)
            story.table.counted[0][.admitted] += 1000
            try ledger.close(at: story.end - 3 * Story.day + 5 * second)
            try ledger.close(at: story.end + 40 * Story.day)
            // By now only months are added up.
            let rollup = Rollup(story.folder, finest: .month, retention: nil, compression: 0)
            #expect(try rollup.run(closed: story.end + 40 * Story.day).compressed.count > 3)
            let wanted = story.truth[Account(tenant: "a")]!.values.reduce(1000) { $0 + $1.admitted }
            for by in [Period.hour, .day, .month] {
                let (_, statement) = try story.said(UsageQuery(tenant: "a", by: by))
                #expect(statement.damage.isEmpty && statement.mended.isEmpty)
                #expect(statement.rows.reduce(0) { $0 + $1.usage.admitted } == wanted, "by \(by)")
            }
        }
    }

    @Test("a day that is begun anew is not taken for the lines that were added up, however long it gets", arguments: [1, 40])
    func begunAnew(lines: Int) throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let start = try #require(Timestamp.parse("2026-11-10"))
            let (ledger, _) = try LedgerTests.open(table, path, at: start)
            table.counted[0][.admitted] += 10
            try ledger.close(at: start + 5 * second)
            let end = start + 2 * Story.day
            try ledger.close(at: end)
            let rollup = Rollup(LedgerFolder(path), finest: .hour, retention: 0)
            #expect(try rollup.run(closed: end).removed == ["2026-11-10.jsonl"])
            // A clock that was wrong has gone back. One line more is as long as the one that was removed.
            for line in 1...lines {
                try ledger.close(at: start + UInt64(line * 10) * second)
                table.counted[0][.admitted] += 10
                try ledger.close(at: start + UInt64(line * 10 + 5) * second)
            }
            try ledger.close(at: end)
            for _ in 0..<2 {
                for by in [Period.hour, .day, .month] {
                    let statement = try Statement(LedgerFolder(path), query: UsageQuery(by: by))
                    #expect(statement.damage.isEmpty && statement.tooCoarse.isEmpty)
                    #expect(statement.rows.map(\.usage.admitted) == [UInt64(10 + 10 * lines)], "by \(by)")
                }
                #expect(try rollup.run(closed: end).damage.isEmpty)
            }
        }
    }

    @Test("what is finer than what is kept is not answered, or with true bounds")
    func coarse() throws {
        try withFolder { path in
            let story = try Story(path)
            _ = try story.rollUp(.day, retention: 0)
            let refused = try story.said(UsageQuery(by: .hour)).1
            #expect(refused.tooCoarse.contains("rollup/2026-10-29.day.jsonl"))
            let statement = try story.said(UsageQuery(by: .hour, acceptsCoarse: true)).1
            #expect(statement.tooCoarse.isEmpty)
            for row in statement.rows where row.from < story.end - 2 * Story.day {
                #expect(row.from % Story.day == 0 && row.to == row.from + Story.day)
            }
            let noon = try #require(Timestamp.parse("2026-10-30T12:00:00Z"))
            #expect(try !story.said(UsageQuery(from: noon)).1.tooCoarse.isEmpty)
            let wide = try story.said(UsageQuery(from: noon, acceptsCoarse: true)).1
            #expect(wide.rows[0].from == noon - 12 * 3600 * second)
            #expect(try story.said(UsageQuery(from: noon - noon % Story.day)).1.tooCoarse.isEmpty)
        }
    }

    @Test("a rollup that fails leaves no draft behind")
    func drafts() throws {
        try withFolder { path in
            let story = try Story(path)
            let files = FailingFiles()
            for index in 0..<12 {
                files.fail(after: index)
                _ = try? Rollup(LedgerFolder(path, files: files), finest: .hour, retention: nil).run(closed: story.end)
                files.fail(after: nil)
                let all = FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []
                #expect(all.filter { $0.hasSuffix(".draft") } == [], "call \(index)")
                try? FileManager.default.removeItem(atPath: path + "/rollup")
            }
        }
    }
}
