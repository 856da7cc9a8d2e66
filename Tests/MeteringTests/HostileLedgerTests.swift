import Base
import Configuration
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
    private static func readAll(_ path: String, _ memory: LedgerMemory? = nil) throws -> Statement {
        let folder = LedgerFolder(path)
        for by in [nil, Period.hour, .day, .month] { _ = try Statement(folder, query: UsageQuery(by: by), memory: memory) }
        try UsageStream(folder, query: UsageQuery(by: .day), memory: memory).forEach { _ in true }
        _ = try LedgerCheck(folder, memory: memory)
        for finest in [Period.hour, .day, .month] {
            _ = try Rollup(folder, finest: finest, retention: nil).run(closed: start + 90 * Timestamp.day, memory: memory)
        }
        return try Statement(folder, query: UsageQuery(by: .day), memory: memory)
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
            // The meters know everybody who ever was.
            let last = records.last!
            let memory = LedgerMemory(
                node: last.id.node, last: last.id, closed: last.to, isWritten: true, totals: [last.account: last.totals])
            let statement = try Self.readAll(path, memory)
            // The totals say all that was used, and of which ids the lines were nobody needs to know. Where they say that
            // nothing was, somebody else's lines are missing.
            #expect(statement.rows.map(\.usage.admitted) == [records.last!.totals[.admitted]])
            let isHopeless = sequences.count == 1
            #expect(statement.damage.isEmpty != isHopeless)
            var check = try LedgerCheck(LedgerFolder(path), memory: memory)
            #expect(check.damage.isEmpty != isHopeless)
            try check.repair()
            check = try LedgerCheck(LedgerFolder(path), memory: memory)
            #expect(check.damage.isEmpty != isHopeless && check.mendable.isEmpty)
            #expect(try Self.peak() - before < 256 << 20)
        }
    }

    @Test("the first and the last id that there are")
    func bounds() throws {
        try withFolder { path in
            let epoch = RecordID.epochMax
            let last: UInt64 = 1 << RecordID.sequenceBits - 1
            try Self.write(
                [
                    Self.record(0, epoch: 0), Self.record(0, epoch: 0, tenant: "b", total: 5), Self.record(last, epoch: epoch),
                    Self.record(last - 1, epoch: epoch, total: 9), Self.record(last, epoch: epoch, tenant: "b"),
                    Self.record(last, epoch: 3), Self.record(1, epoch: 4),
                ], path + "/2026-10-05.jsonl")
            let statement = try Self.readAll(path)
            // The very last has no next one: no gateway writes it, and it is named.
            #expect(statement.damage.contains { $0.line == 3 } && statement.damage.contains { $0.line == 5 })
        }
    }

    // MARK: Figures

    @Test("figures that overflow stay at the most there is")
    func figures() throws {
        try withFolder { path in
            var records: [UsageRecord] = []
            for (index, tenant) in ["a", "a", "a", "b", "b"].enumerated() {
                var record = Self.record(UInt64(index + 1), tenant: tenant, admitted: .max, total: .max)
                for index in record.usage.status.indices { record.usage.status[index] = .max }
                for index in record.usage.refused.indices { record.usage.refused[index] = .max - 1 }
                record.usage.shadowRefused = .max
                record.usage.requestBytes = .max
                record.usage.responseBytes = .max
                record.usage.upstreamMilliseconds = .max
                record.usage.cost = tenant == "a" ? .max : .min
                for index in record.totals.words.indices { record.totals.words[index] = .max }
                record.inFlight = .max
                record.rolledUp = .init(lines: .max, first: record.id, last: record.id)
                records.append(record)
            }
            try Self.write(records, path + "/2026-10-05.jsonl")
            let statement = try Self.readAll(path)
            #expect(statement.records == .max)
            #expect(statement.rows.map(\.usage.admitted) == [.max, .max])
            #expect(statement.rows.map(\.usage.cost) == [.max, .min])
            #expect(statement.rows.map(\.usage.settled) == [.max, .max])
            #expect(statement.rows.map(\.usage.allRefused) == [.max, .max])
            _ = (statement.json, statement.csv, statement.table)
            let month = Period.month.bounds(of: Self.start)
            let terms = TenantTerms(plan: nil, prices: PriceSettings(), charge: "forwarded")
            let parts = [BillingPart](repeating: BillingPart(span: month, terms: terms, lines: []), count: 2)
            let invoice = try Invoice(
                tenant: "a", month: month, parts: parts, statements: [statement, statement], currency: "EUR",
                isProvisional: false)
            #expect(invoice.records == .max && invoice.usage.admitted == .max)
            _ = (invoice.json, invoice.csv, invoice.text)
        }
    }

    @Test("sums from before there were seals whose last line is in front of their first")
    func former() throws {
        try withFolder { path in
            var record = Self.record(9)
            record.rolledUp = .init(
                lines: .max, first: record.id, last: RecordID(node: Self.node, epoch: 1, sequence: 2))
            try Self.write([record, record], path + "/rollup/2026-10-05.day.jsonl")
            _ = try Self.readAll(path)
        }
    }

    @Test("seals that say that more was damaged than can be, of files with long names")
    func seals() throws {
        try withFolder { path in
            let folder = path + "/rollup"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for (place, day) in ["2026-10-05", "2026-10-06"].enumerated() {
                var record = Self.record(UInt64(place + 1), total: UInt64(place + 1))
                record.from = try #require(Timestamp.parse(day))
                record.to = record.from + second
                record.rolledUp = .init(lines: 1, first: record.id, last: record.id, level: .day)
                var lines: [UInt8] = []
                record.write(to: &lines)
                var ids = RecordRanges()
                ids.insert(record.id)
                let name = "\(day).day.jsonl"
                let checksum = lines.withUnsafeBytes { CRC32.checksum($0, after: 0) }
                let source = Seal.Source(file: "\(day).jsonl", size: 10, ids: ids)
                Seal(name: name, records: 1, checksum: checksum, ids: ids, of: [source], damaged: .max).write(to: &lines)
                try Data(lines).write(to: URL(fileURLWithPath: folder + "/" + name))
            }
            #expect(try Self.readAll(path).rows.map(\.usage.admitted) == [1, 1])
            let long = String(repeating: "x", count: 4096)
            var line: [UInt8] = []
            CheckedLine.append(to: &line, room: 8192) { line in
                line.append(
                    Array(
                        #"{"seal":"a","records":0,"checksum":"0","ids":[],"of":[{"file":"\#(long)","size":1,"ids":[]}],"damaged":0"#
                            .utf8))
            }
            #expect(line.dropLast().withUnsafeBytes { Seal($0) } == nil)
        }
    }
}
