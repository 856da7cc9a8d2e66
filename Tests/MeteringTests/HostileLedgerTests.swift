import Base
import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

/// Ledgers whose lines are good by their checksums and say what no gateway wrote.
@Suite("No ledger ends who reads it") struct HostileLedgerTests {
    private static let start = Timestamp.parse("2026-10-05")!
    private static let node: UInt32 = 7

    private static func record(
        _ sequence: UInt64, epoch: UInt64 = 1, tenant: String = "a", admitted: UInt64 = 1, total: UInt64 = 1
    ) -> UsageRecord {
        var (usage, totals) = (Usage(), UsageCounters())
        usage.admitted = admitted
        totals[.admitted] = total
        return UsageRecord(
            id: RecordID(node: node, epoch: epoch, sequence: sequence), account: Account(tenant: tenant), from: start,
            to: start + second, usage: usage, inFlight: 0, totals: totals)
    }

    private static func write(_ records: [UsageRecord], _ path: String) throws {
        var lines: [UInt8] = []
        for record in records { record.write(to: &lines) }
        let folder = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(lines).write(to: URL(fileURLWithPath: path))
    }

    /// Whatever reads a whole ledger.
    private static func readAll(_ path: String) throws -> Statement {
        let folder = LedgerFolder(path)
        for by in [nil, Period.hour, .day, .month] { _ = try Statement(folder, query: UsageQuery(by: by)) }
        try UsageStream(folder, query: UsageQuery(by: .day)).forEach { _ in true }
        _ = try LedgerCheck(folder)
        _ = try folder.firstUse(of: "a", before: .max)
        for finest in [Period.hour, .day, .month] {
            _ = try Rollup(folder, finest: finest, retention: nil).run(closed: start + 90 * Timestamp.day)
        }
        return try Statement(folder, query: UsageQuery(by: .day))
    }

    /// The most memory that this process had, in bytes.
    private static func peak() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(Int(line.split(whereSeparator: \.isWhitespace)[1])) << 10
    }

    // MARK: Ids

    @Test(
        "a gap takes the same memory however many lines are missing",
        arguments: [[1, 100_000_001], [1, 900_000_000_001], [100_000_001], [1, 3, 1_099_511_627_775]] as [[UInt64]])
    func gaps(sequences: [UInt64]) throws {
        try withFolder { path in
            let before = try Self.peak()
            let records = sequences.enumerated().map { Self.record($1, total: 1 + 4 * UInt64($0)) }
            try Self.write(records, path + "/2026-10-05.jsonl")
            let statement = try Self.readAll(path)
            // The totals say all that was used, and of which ids the lines were nobody needs to know.
            #expect(statement.rows.map(\.usage.admitted) == [records.last!.totals[.admitted]])
            #expect(!statement.mended.isEmpty || statement.damage.isEmpty)
            var check = try LedgerCheck(LedgerFolder(path))
            #expect(check.damage.isEmpty)
            try check.repair()
            check = try LedgerCheck(LedgerFolder(path))
            #expect(try Self.peak() - before < 256 << 20)
        }
    }
}
