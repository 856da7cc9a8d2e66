import Foundation
import Metering
import Storage
import TestSupport
import Testing

@Suite struct RollupTests {
    /// Three accounts over a bit more than two months, an interval now and then.
    static func fill(_ folder: String, seed: UInt64) throws -> (start: UInt64, end: UInt64) {
        var random = SeededGenerator(state: seed)
        let table = SimulatedTable()
        for account in [Account(tenant: "a"), Account(tenant: "b"), Account(tenant: "a", key: "k")] {
            table.add(account)
        }
        let start = try #require(Timestamp.parse("2026-09-29T21:00:00Z"))
        var now = start
        let ledger = try LedgerTests.open(table, folder, at: now).ledger
        for _ in 0..<400 {
            now += UInt64.random(in: 1...28_000, using: &random) * second
            for slot in 0..<3 where Bool.random(using: &random) { table.use(slot, &random) }
            try ledger.close(at: now)
        }
        return (start, now)
    }

    @Test("what is added up says the same as its intervals, to every question", arguments: [Period.hour, .day, .month])
    func equal(finest: Period) throws {
        try withFolder { path in
            let (start, end) = try Self.fill(path, seed: 3)
            let folder = LedgerFolder(path)
            let bounds = [
                nil, start + 5 * 86_400 * second, Timestamp.parse("2026-10"), Timestamp.parse("2026-10-10T05:00:00Z"),
            ]
            var questions: [UsageQuery] = []
            for from in bounds {
                for by in [nil, Period.hour, .day, .month] {
                    questions.append(UsageQuery(from: from, to: end - 86_400 * second, by: by))
                }
            }
            let before = try questions.map { try Statement(folder, query: $0).rows }
            let report = try Rollup(folder, finest: finest, retention: nil).run(closed: end)
            #expect(report.written.count > 2 && report.removed.isEmpty)
            #expect(try Rollup(folder, finest: finest, retention: nil).run(closed: end) == Rollup.Report())
            for (question, rows) in zip(questions, before) {
                #expect(try Statement(folder, query: question).rows == rows, "\(question)")
            }
            // Without the intervals the sums still answer what is not finer than they are.
            let again = try Rollup(folder, finest: finest, retention: 0).run(closed: end)
            #expect(again.removed.count > 20 || finest == .month)
            #expect(
                try Statement(folder, query: UsageQuery(by: .month)).rows.map(\.usage)
                    == {
                        var sums: [String: Usage] = [:]
                        for row in try! Statement(folder, query: UsageQuery(by: finest)).rows {
                            sums[row.tenant + Timestamp.dayText(row.from).prefix(7), default: Usage()].add(row.usage)
                        }
                        return sums.keys.sorted().map { sums[$0]! }
                    }())
            let whole = try Statement(folder, query: UsageQuery()).rows.map(\.usage)
            #expect(whole == before[0].map(\.usage) || whole.count == 2)
        }
    }

    @Test("a ledger tells when the day of its last line is over, whatever its files look like")
    func end() throws {
        try withFolder { path in
            #expect(try LedgerFolder(path + "/none").end == 0)
            let (_, end) = try Self.fill(path, seed: 3)
            let folder = LedgerFolder(path)
            let over = Period.day.bounds(of: end - 1).upperBound
            #expect(try folder.end == over)
            for (retention, compression) in [(nil, nil), (nil, 0), (UInt64(0), nil)] as [(UInt64?, UInt64?)] {
                _ = try Rollup(folder, finest: .day, retention: retention, compression: compression).run(closed: over)
                #expect(try folder.end == over)
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: path)
            #expect(!names.contains { $0.hasSuffix(".jsonl") || $0.hasSuffix(".gz") })
        }
    }

    @Test("a rollup that ends at any call leaves every answer as it was")
    func deaths() throws {
        try withFolder { path in
            let (_, end) = try Self.fill(path, seed: 4)
            let expected = try Statement(LedgerFolder(path), query: UsageQuery(by: .day)).rows
            let files = FailingFiles()
            let folder = LedgerFolder(path, files: files)
            for death in 0..<100 {
                files.fail(after: death % 14, forGood: true)
                _ = try? Rollup(folder, finest: .hour, retention: death < 50 ? nil : 86_400 * second).run(closed: end)
                files.fail(after: nil)
                #expect(try Statement(folder, query: UsageQuery(by: .day)).rows == expected, "death \(death)")
            }
            _ = try Rollup(folder, finest: .hour, retention: 0).run(closed: end)
            #expect(try Statement(folder, query: UsageQuery(by: .day)).rows == expected)
        }
    }

    @Test("a ledger whose intervals were removed is not taken for one that has lost lines")
    func removed() throws {
        try withFolder { path in
            var random = SeededGenerator(state: 8)
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            var ledger: Ledger<SimulatedTable>? = try LedgerTests.open(table, path).ledger
            table.use(0, &random)
            try ledger?.close(at: noon + 5 * second)
            let later = noon + 2 * 86_400 * second
            try ledger?.close(at: later)
            let report = try Rollup(LedgerFolder(path), finest: .day, retention: 0).run(closed: later)
            #expect(report.written == ["rollup/2026-11-23.day.jsonl"] && report.removed == ["2026-11-23.jsonl"])
            (ledger, table.epoch) = (nil, 2)
            let (again, recovery) = try LedgerTests.open(table, path, at: later + 60 * second)
            #expect(recovery == Recovery())
            #expect(try again.close(at: later + 65 * second).lines == 0)
            #expect(
                try Statement(LedgerFolder(path), query: UsageQuery()).rows[0].usage.admitted
                    == table.counted[0][.admitted])
        }
    }
}
