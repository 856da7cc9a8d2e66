import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

/// A process that is killed, or whose disk is full, at any call of a repair, a rollup or an issue.
@Suite("What is broken off anywhere") struct BrokenOffTests {
    /// All files below a folder, and the same put back.
    private struct Copy {
        var contents: [String: Data] = [:]

        init(_ path: String) {
            for case let name as String in FileManager.default.enumerator(atPath: path)! {
                contents[name] = FileManager.default.contents(atPath: path + "/" + name)
            }
        }

        func restore(_ path: String) throws {
            for name in Copy(path).contents.keys where contents[name] == nil {
                try FileManager.default.removeItem(atPath: path + "/" + name)
            }
            for (name, content) in contents { try content.write(to: URL(fileURLWithPath: path + "/" + name)) }
        }
    }

    /// Usage by day and by month that is not true and has no damage named beside it.
    private static func wrong(_ story: Story) throws -> [String] {
        let isByDay = try story.said().rows == story.rows
        return try [Period.day, .month].compactMap { by in
            let statement = try Statement(story.folder, query: UsageQuery(by: by), memory: story.memory)
            let isTrue = story.told(statement) == story.truth(0, .max) && (by == .month || isByDay)
            return isTrue || !statement.damage.isEmpty || !statement.tooCoarse.isEmpty ? nil : "by \(by): \(statement.rows)"
        }
    }

    /// Some of the calls, others for each case.
    private static func next(_ index: Int, _ random: inout SeededGenerator) -> Int { index + Int.random(in: 1...8, using: &random) }

    @Test(
        "a repair leaves a ledger that says the same or names its damage, and is ended by the next one",
        arguments: [Period?.none, .day], [true, false])
    func repair(finest: Period?, isKilled: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            if let finest { _ = try story.rollUp(finest) }
            let (one, other) = ("2026-10-31.jsonl", "2026-11-01.jsonl")
            var (first, second) = (story.lines(one), story.lines(other))
            first[1][60] ^= 1
            second = first.suffix(2) + second
            first.removeLast(2)
            try story.put(first, one)
            try story.put(second + [second[3]], other)
            if let finest { try story.put([], "rollup/2026-10-30.\(finest.rawValue).jsonl") }
            let damaged = Copy(path)
            let files = FailingFiles()
            var (index, random) = (0, SeededGenerator(state: isKilled ? 1 : 2))
            while index < 400 {
                defer { index = Self.next(index, &random) }
                try damaged.restore(path)
                let check = try LedgerCheck(LedgerFolder(path, files: files), memory: story.memory)
                #expect(check.damage.isEmpty)
                files.fail(after: index, forGood: isKilled)
                let isDone = (try? check.repair()) != nil
                files.fail(after: nil)
                #expect(try Self.wrong(story) == [], "call \(index)")
                try LedgerCheck(story.folder, memory: story.memory).repair()
                let after = try LedgerCheck(story.folder, memory: story.memory)
                #expect(after.damage.isEmpty && after.mendable.isEmpty && after.repeated.isEmpty, "call \(index)")
                #expect(try story.said().rows == story.rows, "call \(index)")
                // Nothing that was damaged is gone.
                let kept = Copy(path).contents.filter { $0.key.contains(".damaged") }.values
                #expect(kept.contains(damaged.contents[one]!) && kept.contains(damaged.contents[other]!), "call \(index)")
                if isDone { return }
            }
            Issue.record("it never ends")
        }
    }

    @Test(
        "rollups, retention and compression leave a ledger that says the same", arguments: [Period.hour, .day, .month],
        [true, false])
    func rollup(finest: Period, isKilled: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            let whole = Copy(path)
            let files = FailingFiles()
            var (index, random) = (0, SeededGenerator(state: isKilled ? 3 : 4))
            while index < 500 {
                defer { index = Self.next(index, &random) }
                try whole.restore(path)
                try? FileManager.default.removeItem(atPath: path + "/rollup")
                files.fail(after: index, forGood: isKilled)
                func rollUp(_ folder: LedgerFolder) throws -> Rollup.Report {
                    // Some days are removed, others compressed.
                    let rollup = Rollup(folder, finest: finest, retention: 2 * Story.day, compression: 0)
                    return try rollup.run(closed: story.end, memory: story.memory)
                }
                let report = try? rollUp(LedgerFolder(path, files: files))
                files.fail(after: nil)
                #expect(try Self.wrong(story) == [], "call \(index)")
                #expect(try rollUp(story.folder).damage == [], "call \(index)")
                #expect(try Self.wrong(story) == [], "call \(index)")
                let check = try LedgerCheck(story.folder, memory: story.memory)
                #expect(check.damage.isEmpty && check.mendable.isEmpty && check.missing.isEmpty, "call \(index)")
                if let report, report.notCompressed == nil { return }
            }
            Issue.record("it never ends")
        }
    }

    @Test("an invoice is issued as it is or not at all, and so is what corrects it", arguments: [true, false])
    func issue(isKilled: Bool) throws {
        try withFolder { path in
            let terms = try BillingTests.terms("p", "price 1 per 1 requests;")
            let (invoice, other) = (
                try BillingTests.invoice([3: 300], [], current: terms), try BillingTests.invoice([3: 310], [], current: terms)
            )
            let files = FailingFiles()
            func open(_ files: any FileOperations = DiskFiles()) throws -> IssuedInvoices {
                try IssuedInvoices(path + "/invoices", tenant: "a", month: "2026-11", files: files)
            }
            var (index, isDone) = (0, false)
            while !isDone, index < 100 {
                try? FileManager.default.removeItem(atPath: path + "/invoices")
                var first = try open(files)
                files.fail(after: index, forGood: isKilled)
                let isIssued = (try? first.issue(invoice, at: noon)) != nil
                let isCorrected = isIssued && (try? first.issue(try #require(try first.correction(to: other)), of: other, at: noon)) != nil
                files.fail(after: nil)
                for _ in 0..<2 {
                    var again = try open()
                    #expect(again.isIssued || !isIssued)
                    if !again.isIssued { try again.issue(invoice, at: noon) }
                    #expect(try again.appearance("txt") == String(invoice.text.dropLast()), "call \(index)")
                    #expect(try again.appearance("csv") == String(invoice.csv.dropLast()), "call \(index)")
                    if let correction = try again.correction(to: other) {
                        #expect(!isCorrected && correction.total.text(places: 2) == "10.00", "call \(index)")
                        try again.issue(correction, of: other, at: noon)
                    }
                    #expect(try open().corrections.count == 1)
                }
                (index, isDone) = (index + 1, isCorrected)
            }
            #expect(isDone && index > 10)
        }
    }
}
