import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

/// Lines that are lost may be of somebody of whom nothing else is known.
@Suite("Whose only lines are lost") struct StrangerTests {
    /// Three intervals of `a`, and between them one of `b`, which then leaves or stays; the ledger and its only file.
    private func ledger(_ path: String, leaves: Bool) throws -> (table: SimulatedTable, file: String) {
        let table = SimulatedTable()
        for name in ["a", "b"] { table.add(Account(tenant: name)) }
        let (ledger, _) = try LedgerTests.open(table, path)
        for (number, slot) in [0, 0, 1, 0, 0].enumerated() {
            table.counted[slot][.admitted] += 10
            try ledger.close(at: noon + UInt64(number + 1) * 5 * second)
            if leaves, slot == 1 { table.retired.insert(1) }
        }
        #expect(table.released.contains(1) == leaves)
        return (table, "2026-11-23.jsonl")
    }

    private func remove(_ numbers: Range<Int>, from file: String) throws {
        var lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
        lines.removeSubrange(numbers)
        try (lines.joined(separator: "\n") + "\n").write(toFile: file, atomically: false, encoding: .utf8)
    }

    private static let questions = [
        UsageQuery(), UsageQuery(by: .day), UsageQuery(by: .month), UsageQuery(from: noon - noon % Story.day), UsageQuery(tenant: "b"),
    ]

    @Test(
        "usage of all, a repair and a rollup don't pass over who has no other line, unless the meters know everybody",
        arguments: [nil, true, false])
    func several(leaves: Bool?) throws {
        try withFolder { path in
            let (table, file) = try ledger(path, leaves: leaves == true)
            try remove(1..<3, from: path + "/" + file)
            let folder = LedgerFolder(path)
            // Without the meters, or with those that have given its slot away.
            let memory = leaves == nil ? nil : LedgerMemory(table)
            let isKnown = leaves == false
            for isFirst in [true, false] {
                for query in Self.questions {
                    let statement = try Statement(folder, query: query, memory: memory)
                    #expect(statement.damage.isEmpty == isKnown, "\(query)")
                    if isKnown { #expect(statement.rows.first { $0.tenant == "b" }?.usage.admitted == 10, "\(query)") }
                }
                // Of who has others all is known.
                let own = try Statement(folder, query: UsageQuery(tenant: "a"), memory: memory)
                #expect(own.damage.isEmpty && own.rows.map(\.usage.admitted) == [40])
                let check = try LedgerCheck(folder, memory: memory)
                #expect(check.damage.isEmpty == isKnown)
                try check.repair()
                let report = try Rollup(folder, finest: .hour, retention: 0).run(closed: noon + Story.day, memory: memory)
                #expect(report.damage.isEmpty == isKnown && report.removed.isEmpty != (isKnown && isFirst))
            }
        }
    }

    @Test("where each line that is lost is accounted for nobody else has one", arguments: [true, false])
    func counted(hasMemory: Bool) throws {
        try withFolder { path in
            let (table, file) = try ledger(path, leaves: true)
            try remove(1..<2, from: path + "/" + file)
            for query in Self.questions {
                let statement = try Statement(LedgerFolder(path), query: query, memory: hasMemory ? LedgerMemory(table) : nil)
                #expect(statement.damage.isEmpty && statement.rows.last?.usage.admitted == 10)
            }
        }
    }

    @Test("lines behind the last one of who has left are of those who are known")
    func later() throws {
        try withFolder { path in
            let (table, file) = try ledger(path, leaves: true)
            let (ledger, _) = try LedgerTests.open(table, path, at: noon + 60 * second)
            for number in 1...4 {
                table.counted[0][.admitted] += 10
                try ledger.close(at: noon + UInt64(60 + number * 5) * second)
            }
            try remove(6..<8, from: path + "/" + file)
            let statement = try Statement(LedgerFolder(path), query: UsageQuery(), memory: LedgerMemory(table))
            #expect(statement.damage.isEmpty && statement.rows.map(\.usage.admitted) == [80, 10])
        }
    }
}
