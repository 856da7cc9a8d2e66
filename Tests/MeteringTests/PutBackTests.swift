import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

/// What was made good, added up, and then put back from somewhere.
@Suite("What is put back counts once") struct PutBackTests {
    @Test(
        "lines of two openings that were made good and added up don't count again once their file is put back",
        arguments: [Period.hour, .day, .month])
    func openings(finest: Period) throws {
        try withFolder { path in
            let table = SimulatedTable()
            for name in ["a", "b"] { table.add(Account(tenant: name)) }
            let start = try #require(Timestamp.parse("2026-10-30"))
            var ledger: Ledger? = try LedgerTests.open(table, path, at: start).ledger
            func use(at time: UInt64) throws {
                try ledger?.close(at: time)
                for slot in 0..<2 { table.counted[slot][.admitted] += 10 }
                try ledger?.close(at: time + 5 * second)
            }
            try use(at: start + Timestamp.hour)
            try use(at: start + Timestamp.day + Timestamp.hour)
            ledger = nil
            table.epoch += 1
            ledger = try LedgerTests.open(table, path, at: start + Timestamp.day + 2 * Timestamp.hour).ledger
            try use(at: start + Timestamp.day + 3 * Timestamp.hour)
            // Of a day whose first line says that the one before it is of the 31st.
            try use(at: start + 2 * Timestamp.day + Timestamp.hour)
            try ledger?.close(at: start + 3 * Timestamp.day)
            let file = path + "/2026-10-31.jsonl"
            let whole = try #require(FileManager.default.contents(atPath: file))
            try Data().write(to: URL(fileURLWithPath: file))
            let rollup = Rollup(LedgerFolder(path), finest: finest, retention: nil)
            let report = try rollup.run(closed: start + 3 * Timestamp.day, memory: LedgerMemory(table))
            #expect(report.written.contains("rollup/2026-10.month.jsonl"))
            for content in [Data(), whole] {
                try content.write(to: URL(fileURLWithPath: file))
                for _ in 0..<2 {
                    let statement = try Statement(LedgerFolder(path), query: UsageQuery(by: .month), memory: LedgerMemory(table))
                    #expect(statement.damage.isEmpty && statement.rows.map(\.usage.admitted) == [30, 10, 30, 10])
                    _ = try rollup.run(closed: start + 3 * Timestamp.day, memory: LedgerMemory(table))
                }
            }
        }
    }

    @Test(
        "a file that a repair kept is put back after sums were made of the repaired one",
        arguments: [Period?.none, .hour, .day, .month], [true, false])
    func kept(finest: Period?, isRepairedAfter: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            let (one, other) = ("2026-10-31.jsonl", "2026-11-01.jsonl")
            let (first, second) = (story.lines(one), story.lines(other))
            var damaged = first
            damaged[1][60] ^= 1
            // Two are strays, and one of them stands twice.
            try story.put(Array(damaged.dropLast(2)), one)
            try story.put(first.suffix(2) + second + first.suffix(1), other)
            let check = try LedgerCheck(story.folder, memory: story.memory)
            #expect(check.damage.isEmpty)
            try check.repair()
            func expectTrue(_ note: Comment, mayBeNamed: Bool = false) throws {
                for memory in [story.memory, nil] {
                    let found = try story.silent(memory)
                    // Of hours or days that only a month's sum tells nobody knows without the lines.
                    #expect(found.wrong == [] && (found.named == 0 || mayBeNamed || memory == nil), note)
                }
            }
            try expectTrue("repaired")
            if let finest { _ = try story.rollUp(finest) }
            try expectTrue("added up")
            for name in [one, other] {
                let kept = path + "/" + name + ".damaged"
                if FileManager.default.fileExists(atPath: kept) { try DiskFiles().rename(kept, to: path + "/" + name) }
            }
            try expectTrue("put back", mayBeNamed: finest == .month)
            if let finest { _ = try story.rollUp(finest) }
            try expectTrue("added up again", mayBeNamed: finest == .month)
            if isRepairedAfter {
                let again = try LedgerCheck(story.folder, memory: story.memory)
                if again.damage.isEmpty { try again.repair() }
                try expectTrue("repaired again", mayBeNamed: finest == .month)
            }
            try story.put(first, one)
            try story.put(second, other)
            try expectTrue("whole")
            if let finest { _ = try story.rollUp(finest, retention: 0) }
            #expect(try Set(story.truth(0, .max).keys) == Set(story.told(story.said(UsageQuery(by: .month)).1).keys))
            #expect(try story.told(story.said(UsageQuery(by: .month)).1) == story.truth(0, .max))
        }
    }
}
