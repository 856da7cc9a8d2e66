import Foundation
import Metering
import Storage
import TestSupport
import Testing

@Suite("Compression of old days")
struct CompressionTests {
    private func statement(_ folder: LedgerFolder) throws -> [[UsageRow]] {
        try [nil, Period.hour, .day, .month].map { try Statement(folder, query: UsageQuery(by: $0)).rows }
    }

    private func names(_ path: String) throws -> [String] { try DiskFiles().list(path) }

    @Test("what is compressed says the same, to every question and with the same ids", arguments: [Period.hour, .day])
    func same(finest: Period) throws {
        try withFolder { path in
            let (_, end) = try RollupTests.fill(path, seed: 3)
            let folder = LedgerFolder(path)
            _ = try Rollup(folder, finest: finest, retention: nil).run(closed: end)
            let before = try statement(folder)
            let month = UsageQuery(tenant: "a", from: Timestamp.parse("2026-11-01T00:00:01Z"))
            let sources = try Statement(folder, query: month).sources
            #expect(sources.count > 0)
            let days = try names(path).filter { $0.hasSuffix(".jsonl") }
            let rollup = Rollup(folder, finest: finest, retention: nil, compression: 2 * 86_400 * second)
            let report = try rollup.run(closed: end)
            #expect(report.compressed.count > 20 && report.notCompressed == nil && report.removed.isEmpty)
            let left = try names(path)
            #expect(left.filter { $0.hasSuffix(".jsonl") }.count == days.count - report.compressed.count)
            #expect(left.filter { $0.hasSuffix(".gz") } == report.compressed)
            #expect(try statement(folder) == before)
            #expect(try Statement(folder, query: month).sources == sources)
            #expect(try rollup.run(closed: end) == Rollup.Report())
            // What is retained no longer goes, compressed or not.
            let again = try Rollup(folder, finest: finest, retention: 86_400 * second, compression: 0).run(closed: end)
            #expect(again.removed.count >= report.compressed.count)
            #expect(try statement(folder).last == before.last)
        }
    }

    @Test("an end at any call leaves every answer as it was, and the next run finishes it")
    func deaths() throws {
        try withFolder { path in
            let (_, end) = try RollupTests.fill(path, seed: 4)
            _ = try Rollup(LedgerFolder(path), finest: .hour, retention: nil).run(closed: end)
            let expected = try statement(LedgerFolder(path))
            let files = FailingFiles()
            let folder = LedgerFolder(path, files: files)
            let rollup = Rollup(folder, finest: .hour, retention: nil, compression: 0)
            for death in 0..<60 {
                files.fail(after: death % 12, forGood: true)
                _ = try? rollup.run(closed: end)
                files.fail(after: nil)
                #expect(try statement(folder) == expected, "death \(death)")
            }
            let report = try rollup.run(closed: end)
            #expect(report.notCompressed == nil)
            #expect(try statement(folder) == expected)
            let left = try names(path)
            #expect(!left.contains { $0.hasSuffix(".draft") })
        }
    }

    /// Does something else than it is asked to.
    private struct Odd: Compressor {
        var content: [UInt8]
        func compress(_ input: Int32, into output: Int32) throws(StorageFault) {
            try DiskFiles().write(output, all: content, at: 0)
        }
    }

    @Test("what can not be compressed, or does not read back the same, is kept as it is")
    func kept() throws {
        try withFolder { path in
            let (_, end) = try RollupTests.fill(path, seed: 5)
            let folder = LedgerFolder(path)
            _ = try Rollup(folder, finest: .hour, retention: nil).run(closed: end)
            let before = try names(path)
            let compressors: [any Compressor] = [
                GzipTool("no-such-program"), GzipTool("false"), GzipTool("true"), Odd(content: []),
                Odd(content: Array("not gzip".utf8)),
                // A whole gzip file, of nothing.
                Odd(content: [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ]
            for compressor in compressors {
                let rollup = Rollup(folder, finest: .hour, retention: nil, compression: 0, compressor: compressor)
                let report = try rollup.run(closed: end)
                #expect(report.notCompressed != nil && report.compressed.isEmpty)
                #expect(try names(path) == before)
            }
        }
    }

    @Test("a compressor that hangs is ended, and keeps nobody waiting")
    func hangs() throws {
        try withFolder { path in
            let (_, end) = try RollupTests.fill(path + "/ledger", seed: 5)
            let program = path + "/hangs"
            try Data("#!/bin/sh\nexec sleep 60\n".utf8).write(to: URL(fileURLWithPath: program))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
            let tool = GzipTool(program, patience: 300_000_000)
            let start = Date()
            let report = try Rollup(LedgerFolder(path + "/ledger"), finest: .hour, retention: nil, compression: 0, compressor: tool)
                .run(closed: end)
            #expect(Date().timeIntervalSince(start) < 30)
            #expect(report.compressed.isEmpty && "\(String(describing: report.notCompressed))".contains("was ended"))
        }
    }

    @Test("a day that is not added up is not compressed")
    func notAddedUp() throws {
        try withFolder { path in
            let (_, end) = try RollupTests.fill(path, seed: 6)
            let rollup = Rollup(LedgerFolder(path), finest: .month, retention: nil, compression: 0)
            let report = try rollup.run(closed: end)
            // The last month is not over.
            #expect(report.compressed.count > 20)
            let left = try names(path)
            #expect(left.contains { $0.hasSuffix(".jsonl") })
            let last = try #require(report.compressed.last)
            #expect(last < Timestamp.dayText(end).prefix(7))
        }
    }

    @Test("a ledger whose days were compressed goes on where it was")
    func goesOn() throws {
        try withFolder { path in
            var random = SeededGenerator(state: 8)
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            var ledger: Ledger<SimulatedTable>? = try LedgerTests.open(table, path).ledger
            table.use(0, &random)
            try ledger?.close(at: noon + 5 * second)
            let later = noon + 2 * 86_400 * second
            try ledger?.close(at: later)
            let rollup = Rollup(LedgerFolder(path), finest: .day, retention: nil, compression: 0)
            #expect(try rollup.run(closed: later).compressed == ["2026-11-23.jsonl.gz"])
            (ledger, table.epoch) = (nil, 2)
            let (again, recovery) = try LedgerTests.open(table, path, at: later + 60 * second)
            #expect(recovery == Recovery())
            #expect(try again.close(at: later + 65 * second).lines == 0)
            #expect(
                try Statement(LedgerFolder(path), query: UsageQuery(by: .hour)).rows[0].usage.admitted
                    == table.counted[0][.admitted])
        }
    }
}
