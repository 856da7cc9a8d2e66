import Base
import Foundation
import Glibc
import Storage
import TestSupport
import Testing

@testable import Metering

@Suite("What is named like a file of the ledger and is none") struct ForeignFileTests {
    enum Kind: CaseIterable {
        case pipe, device, danglingLink, circle

        func make(_ path: String) throws {
            switch self {
            case .pipe: try #require(mkfifo(path, 0o600) == 0)
            case .device: try #require(symlink("/dev/zero", path) == 0)
            case .danglingLink: try #require(symlink("nothing", path) == 0)
            case .circle: try #require(symlink(path, path) == 0)
            }
        }
    }

    @Test(
        "it is named, and stops nothing of the rest", arguments: Kind.allCases,
        [
            "2026-10-20.jsonl", "2026-10-20.jsonl.gz", "rollup/2026-10-20.hour.jsonl", "rollup/2026-10-20.day.jsonl",
            "rollup/2026-10.month.jsonl",
        ])
    func stopsNothing(kind: Kind, name: String) throws {
        try withFolder { path in
            let story = try Story(path)
            try FileManager.default.createDirectory(atPath: path + "/rollup", withIntermediateDirectories: true)
            try kind.make(path + "/" + name)
            let (rows, statement) = try story.said()
            #expect(rows == story.rows && statement.damage.map(\.file) == [name])
            var named: [String] = []
            try UsageStream(story.folder, query: UsageQuery(by: .day), memory: story.memory).forEach {
                named += $0.damage.map(\.file)
                return true
            }
            #expect(Set(named) == [name])
            let other = UsageQuery(from: Timestamp.parse("2026-11-01"), by: .day)
            #expect(try story.said(other).1.damage.isEmpty)
            let check = try LedgerCheck(story.folder, memory: story.memory)
            #expect(check.damage.map(\.file) == [name] && check.mendable.isEmpty && check.plan.isEmpty)
            for finest in [Period.hour, .day, .month] {
                let report = try story.rollUp(finest)
                #expect(report.damage.allSatisfy { $0.file == name })
                if finest == .hour, !name.hasSuffix("month.jsonl") { #expect(!report.written.isEmpty) }
            }
            #expect(try story.said().rows == story.rows)
            let opened = try LedgerTests.open(story.table, path, at: story.end)
            #expect(opened.recovery == Recovery())
        }
    }

    @Test("a day of which it stands in the place is not waited for, and its lines are missed", arguments: Kind.allCases)
    func replaced(kind: Kind) throws {
        try withFolder { path in
            let story = try Story(path)
            let name = "2026-10-30.jsonl"
            try FileManager.default.removeItem(atPath: path + "/" + name)
            try kind.make(path + "/" + name)
            #expect(try story.said().1.damage.contains { $0.file == name })
            #expect(try LedgerCheck(story.folder, memory: story.memory).damage.contains { $0.file == name })
            #expect(try story.rollUp(.hour, retention: 0).damage.contains { $0.file == name })
            _ = try LedgerTests.open(story.table, path, at: story.end)
        }
    }

    @Test("nothing that is no regular file is opened", arguments: [Kind.pipe, .device], [false, true])
    func opening(kind: Kind, writing: Bool) throws {
        try withFolder { path in
            try kind.make(path + "/file")
            #expect(throws: StorageFault.self) { try DiskFiles().open(path + "/file", writing: writing) }
        }
    }
}
