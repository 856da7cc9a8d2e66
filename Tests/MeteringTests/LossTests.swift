import Base
import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

extension Story {
    func lines(_ file: String) -> [[UInt8]] { content(file).split(separator: 0x0A).map { Array($0) + [0x0A] } }
    func put(_ lines: [[UInt8]], _ file: String) throws { try write(Array(lines.joined()), file) }
    func remove(_ file: String) throws { try FileManager.default.removeItem(atPath: path + "/" + file) }

    /// By tenant, of whole days.
    func truth(_ from: UInt64, _ to: UInt64) -> [String: UInt64] {
        var sums: [String: UInt64] = [:]
        for (account, days) in truth where account.key == nil {
            for (day, usage) in days where day >= from && day < to {
                sums[account.tenant, default: 0] += usage.admitted
            }
        }
        return sums.filter { $0.value > 0 }
    }

    func told(_ statement: Statement) -> [String: UInt64] {
        var sums: [String: UInt64] = [:]
        for row in statement.rows { sums[row.tenant, default: 0] += row.usage.admitted }
        return sums.filter { $0.value > 0 }
    }

    /// Every way to ask: what is wrong without a word, and how often something was named.
    func silent(_ memory: LedgerMemory?) throws -> (wrong: [String], named: Int) {
        let month = try #require(Timestamp.parse("2026-11-01"))
        let (first, last) = (try #require(Timestamp.parse("2026-10-29")), end + Self.day)
        var (wrong, named): ([String], Int) = ([], 0)
        let questions = [
            UsageQuery(), UsageQuery(by: .month), UsageQuery(by: .day), UsageQuery(from: month), UsageQuery(to: month),
            UsageQuery(from: first, to: month), UsageQuery(from: month, to: last),
            UsageQuery(from: month - Self.day, to: month),
            UsageQuery(from: month, to: month + Self.day, by: .day),
        ]
        for question in questions {
            let statement = try Statement(folder, query: question, memory: memory)
            if !statement.damage.isEmpty || !statement.tooCoarse.isEmpty {
                named += 1
                continue
            }
            let (said, wanted) = (told(statement), truth(question.from ?? 0, question.to ?? .max))
            if said != wanted { wrong.append("\(question): \(said), not \(wanted)") }
            guard question.by == .day, question.from == nil else { continue }
            var days: [String: Usage] = [:]
            for row in statement.rows {
                days["\(row.tenant) \(Timestamp.dayText(row.from))", default: Usage()].add(row.usage)
            }
            for (name, usage) in rows where days[name] != usage { wrong.append("by day: \(name)") }
        }
        var streamed: [String: UInt64] = [:]
        var isNamed = false
        try UsageStream(folder, query: UsageQuery(by: .day), memory: memory).forEach { statement in
            isNamed = isNamed || !statement.damage.isEmpty || !statement.tooCoarse.isEmpty
            streamed.merge(told(statement)) { $0 + $1 }
            return true
        }
        if isNamed { named += 1 } else if streamed != truth(0, .max) { wrong.append("streamed: \(streamed)") }
        return (wrong, named)
    }
}

@Suite("Whatever is lost is missed") struct LossTests {
    // MARK: Lines of other days

    @Test(
        "lines in another day's file count on their own day, are named, and both files are kept", arguments: [2, 0],
        [true, false])
    func misplaced(count: Int, hasMemory: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            let (one, other) = ("2026-10-31.jsonl", "2026-11-01.jsonl")
            let (first, second) = (story.lines(one), story.lines(other))
            // Some of them, or the files are swapped.
            try story.put(count > 0 ? Array(first.dropLast(count)) : second, one)
            try story.put(count > 0 ? first.suffix(count) + second : first, other)
            let memory = hasMemory ? story.memory : nil
            func check(_ note: Comment) throws {
                let found = try story.silent(memory)
                #expect(found.wrong == [] && found.named == 0, note)
            }
            try check("before")
            #expect(try story.said(UsageQuery(by: .day)).1.mended.contains { $0.file == other })
            #expect(try LedgerCheck(story.folder, memory: memory).mendable.contains { $0.file == other })
            let report = try Rollup(story.folder, finest: .day, retention: 0).run(closed: story.end, memory: memory)
            #expect(report.damage.isEmpty && !report.removed.contains(one) && !report.removed.contains(other))
            try check("after")
            try LedgerCheck(story.folder, memory: memory).repair()
            #expect(story.lines(one) == first && story.lines(other) == second)
            #expect(try LedgerCheck(story.folder, memory: memory).mendable.isEmpty)
            try check("repaired")
        }
    }

    // MARK: Ends

    @Test("lines that are gone from the end are missed by every question", arguments: [1, 3, 100], [false, true])
    func end(count: Int, isRestarted: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            let file = try #require(story.files.last)
            if isRestarted {
                story.table.epoch += 1
                _ = try LedgerTests.open(story.table, path, at: story.end)
            }
            let lines = story.lines(file)
            try story.put(Array(lines.dropLast(count)), file)
            #expect(try story.silent(story.memory).wrong == [])
            try story.remove(file)
            #expect(try story.silent(story.memory).wrong == [])
            // Nothing of it is added up before it is there.
            let report = try story.rollUp(.hour, retention: 0)
            #expect(!report.removed.contains(file) && !report.written.contains("rollup/2026-11.month.jsonl"))
            #expect(try story.silent(story.memory).wrong == [])
            try story.put(lines, file)
            let whole = try story.silent(story.memory)
            #expect(whole.wrong == [] && whole.named == 0)
        }
    }

    @Test("the first line of an opening tells how the one before it ended, without the meters")
    func openings() throws {
        try withFolder { path in
            let story = try Story(path, days: 3)
            for file in story.files {
                let lines = story.lines(file)
                let records = lines.map { line in line.dropLast().withUnsafeBytes { UsageRecord($0) }! }
                guard let place = records.firstIndex(where: { $0.id.epoch == 2 }) else { continue }
                #expect(place > 2 && records[place].before == records[place - 1].id)
                var rest = lines
                rest.removeSubrange(place - 2..<place)
                try story.put(rest, file)
                #expect(try story.silent(nil).wrong == [])
                let check = try LedgerCheck(story.folder)
                #expect(!check.mendable.isEmpty || !check.damage.isEmpty)
                return
            }
            Issue.record("no second opening")
        }
    }

    @Test("sums name how the openings before theirs ended, too")
    func openingsInSums() throws {
        try withFolder { path in
            let story = try Story(path)
            let last = try #require(story.lines("2026-10-30.jsonl").last).dropLast().withUnsafeBytes { UsageRecord($0)!.id }
            #expect(last.epoch == 1)
            _ = try story.rollUp(.day, retention: 0)
            for name in ["2026-10-31.day.jsonl", "2026-10.month.jsonl"] {
                let file = try #require(LedgerFile(name: name, inRollups: true))
                #expect(try Seal.read(file, in: story.folder)?.ends.contains(last) == true)
            }
            try story.remove("rollup/2026-10-30.day.jsonl")
            #expect(try story.silent(nil).wrong == [])
            try story.remove("rollup/2026-10.month.jsonl")
            let found = try story.silent(nil)
            #expect(found.wrong == [] && found.named > 0)
        }
    }

    // MARK: Several at once

    @Test("what can be made good does not hide what can't")
    func together() throws {
        try withFolder { path in
            let story = try Story(path)
            let file = try #require(story.files.last)
            var lines = story.lines(file)
            lines[lines.count - 1][60] ^= 1
            lines.remove(at: 1)
            try story.put(lines, file)
            let found = try story.silent(nil)
            #expect(found.wrong == [] && found.named > 0)
        }
    }

    @Test("bad lines on both sides of a month's end are charged once or named", arguments: [true, false])
    func bothSides(hasMemory: Bool) throws {
        try withFolder { path in
            let story = try Story(path)
            let (one, other) = ("2026-10-31.jsonl", "2026-11-01.jsonl")
            let (first, second) = (story.lines(one), story.lines(other))
            for i in first.indices {
                // Without the meters nobody knows whether there was a line behind the last.
                for j in second.indices.dropLast(hasMemory ? 0 : 1) {
                    for isRemoved in [false, true] {
                        var (changed, next) = (first, second)
                        if isRemoved {
                            changed.remove(at: i)
                            next.remove(at: j)
                        } else {
                            changed[i][60] ^= 1
                            next[j][60] ^= 1
                        }
                        try story.put(changed, one)
                        try story.put(next, other)
                        let memory = hasMemory ? story.memory : nil
                        let found = try story.silent(memory)
                        #expect(found.wrong == [], "\(i) \(j) \(isRemoved)")
                        // Whoever accepts the damage doesn't charge for it twice.
                        let month = try #require(Timestamp.parse("2026-11-01"))
                        var sum: [String: UInt64] = [:]
                        for query in [UsageQuery(to: month), UsageQuery(from: month)] {
                            sum.merge(story.told(try Statement(story.folder, query: query, memory: memory))) { $0 + $1 }
                        }
                        let truth = story.truth(0, .max)
                        #expect(sum.allSatisfy { $0.value <= truth[$0.key] ?? 0 }, "\(i) \(j) \(isRemoved)")
                    }
                }
            }
        }
    }

    @Test(
        "some files at once are damaged: the figures are true or it is named",
        arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func several(seed: UInt64) throws {
        try withFolder { path in
            var random = SeededGenerator(state: seed)
            let story = try Story(path, days: 5, closings: 30, seed: seed)
            if seed % 3 > 0 { _ = try story.rollUp(seed % 3 == 1 ? .hour : .day, retention: seed % 2 == 0 ? 0 : nil) }
            let files = story.files
            let contents = files.map { story.content($0) }
            for _ in 0..<25 {
                var how: [String] = []
                for _ in 0..<Int.random(in: 2...3, using: &random) {
                    let place = Int.random(in: files.indices, using: &random)
                    guard let damage = DamageTests.damages(contents[place], &random).randomElement(using: &random)
                    else { continue }
                    how.append("\(files[place]) \(damage.0)")
                    if let bytes = damage.1 {
                        try story.write(bytes, files[place])
                    } else {
                        try? story.remove(files[place])
                    }
                }
                let wrong = try story.silent(story.memory).wrong
                #expect(wrong == [], "\(how)")
                for (file, content) in zip(files, contents) { try story.write(content, file) }
            }
        }
    }

    // MARK: Sums

    @Test("a bad line of a day whose sums are intact stops nothing")
    func sumsAreIntact() throws {
        try withFolder { path in
            let story = try Story(path)
            _ = try story.rollUp(.day)
            for file in story.files where !file.contains("rollup") {
                let lines = story.lines(file)
                for index in lines.indices where file < "2026-11-02" {
                    var changed = lines
                    changed[index][60] ^= 1
                    changed[index].insert(0x21, at: 70)
                    try story.put(changed, file)
                    let found = try story.silent(story.memory)
                    #expect(found.wrong == [] && found.named == 0, "\(file) \(index)")
                }
                try story.put(lines, file)
            }
        }
    }

    @Test("a file that went missing after it was added up is named, and one whose time was over is not")
    func missingFiles() throws {
        try withFolder { path in
            let story = try Story(path)
            _ = try story.rollUp(.hour)
            #expect(try LedgerCheck(story.folder, memory: story.memory).missing == [])
            for file in ["2026-10-30.jsonl", "rollup/2026-10-30.day.jsonl"] {
                let bytes = story.content(file)
                try story.remove(file)
                let check = try LedgerCheck(story.folder, memory: story.memory)
                #expect(check.missing.map(\.file) == [file] && check.damage.isEmpty)
                #expect(try story.silent(story.memory).named == 0)
                try story.write(bytes, file)
            }
            #expect(try story.rollUp(.hour, retention: Story.day).removed.count > 1)
            #expect(try LedgerCheck(story.folder, memory: story.memory).missing == [])
        }
    }

    @Test("coarse rows of all tenants come a day at a time, but of what only a month's sum tells")
    func coarseStream() throws {
        try withFolder { path in
            let story = try Story(path, days: 40, closings: 160)
            let middle = try #require(Timestamp.parse("2026-11-01"))
            _ = try Rollup(story.folder, finest: .month, retention: 0).run(closed: middle)
            var (parts, sum): (Int, [String: UInt64]) = (0, [:])
            let query = UsageQuery(by: .hour, acceptsCoarse: true)
            try UsageStream(story.folder, query: query, memory: story.memory).forEach { statement in
                parts += 1
                #expect(statement.damage.isEmpty && statement.tooCoarse.isEmpty)
                #expect(Set(statement.rows.map { $0.from / Story.day }).count <= 1)
                sum.merge(story.told(statement)) { $0 + $1 }
                return true
            }
            #expect(parts > 30 && sum == story.truth(0, .max))
        }
    }

    @Test("a time of which nothing is known but that it is damaged has a row in JSON")
    func rowOfNobody() throws {
        try withFolder { path in
            let story = try Story(path)
            let day = try #require(Timestamp.parse("2026-10-30"))
            try story.write([], "2026-10-30.jsonl")
            let query = UsageQuery(from: day, to: day + Story.day, by: .day)
            let statement = try Statement(story.folder, query: query)
            #expect(!statement.damage.isEmpty && statement.rows.contains { $0.damaged > 0 && $0.from == day })
            #expect(String(decoding: statement.json, as: UTF8.self).contains("\"damaged\":"))
            #expect(!statement.csv.contains("\n,"))
        }
    }

    // MARK: Repair

    @Test("a repair at an opening's end doubles nothing and keeps what was there")
    func repairedEnd() throws {
        try withFolder { path in
            let story = try Story(path, days: 1, closings: 8)
            let file = try #require(story.files.first)
            let lines = story.lines(file)
            let records = lines.map { line in line.dropLast().withUnsafeBytes { UsageRecord($0) }! }
            let place = try #require(records.firstIndex { $0.id.epoch == 2 })
            // Of an opening that doesn't name the line before it.
            var first = records[place]
            first.before = nil
            var bytes: [UInt8] = []
            first.write(to: &bytes)
            for count in 1...4 {
                try story.put(Array(lines[..<(place - count)]) + [bytes] + lines[(place + 1)...], file)
                let damaged = story.content(file)
                for _ in 0..<2 {
                    let check = try LedgerCheck(story.folder, memory: story.memory)
                    #expect(check.plan.isEmpty || check.plan[0].contains(file + ".damaged"))
                    if check.damage.isEmpty { try check.repair() }
                    let found = try story.silent(story.memory)
                    #expect(found.wrong == [], "\(count)")
                }
                #expect(
                    !story.lines(file).contains { String(decoding: $0, as: UTF8.self).contains("\"00000000-0-0\"") })
                let kept = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.contains(".damaged") }
                for name in kept {
                    #expect(story.content(name) == damaged || count > 1)
                    try story.remove(name)
                }
            }
        }
    }

    @Test("a repair never makes what is damaged for good look whole")
    func repairedHopeless() throws {
        try withFolder { path in
            let story = try Story(path)
            let file = try #require(story.files.last)
            var lines = story.lines(file)
            lines[lines.count - 1][60] ^= 1
            lines.insert(lines[0], at: 1)
            try story.put(lines, file)
            let check = try LedgerCheck(story.folder)
            #expect(!check.damage.isEmpty && !check.repeated.isEmpty)
            try check.repair()
            #expect(try LedgerCheck(story.folder).damage == check.damage)
            let found = try story.silent(nil)
            #expect(found.wrong == [] && found.named > 0)
        }
    }

    @Test("a repair of a day with a compressed file beside the plain one loses no line of either")
    func repairedBoth() throws {
        try withFolder { path in
            let story = try Story(path)
            let file = "2026-10-30.jsonl"
            let lines = story.lines(file)
            _ = try Rollup(story.folder, finest: .hour, retention: nil, compression: 0).run(closed: story.end)
            #expect(!story.files.contains(file))
            try FileManager.default.removeItem(atPath: path + "/rollup")
            // What came later, and a line that came twice.
            story.table.epoch += 1
            let (ledger, _) = try LedgerTests.open(story.table, path, at: story.end)
            let back = try #require(Timestamp.parse("2026-10-30T12:00:00Z"))
            try ledger.close(at: back)
            story.table.counted[0][.admitted] += 1000
            try ledger.close(at: back + 5 * second)
            let late = story.lines(file)
            try story.put(late + late, file)
            try LedgerCheck(story.folder, memory: story.memory).repair()
            #expect(story.lines(file) == lines + late)
            let kept = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.contains(".damaged") }
            #expect(Set(kept) == [file + ".damaged", file + ".gz.damaged"])
        }
    }

    // MARK: Many

    @Test("ten thousand bad lines take no longer than ten thousand good ones, about")
    func many() throws {
        try withFolder { path in
            let start = try #require(Timestamp.parse("2026-10-30"))
            var (lines, totals): ([UInt8], [UsageCounters]) = (
                [], [UsageCounters](repeating: UsageCounters(), count: 50)
            )
            for number in 0..<30_000 {
                var usage = Usage()
                usage.admitted = 1
                totals[number % 50][.admitted] += 1
                let time = start + UInt64(number / 50) * second
                var line: [UInt8] = []
                UsageRecord(
                    id: RecordID(node: 7, epoch: 1, sequence: UInt64(number + 1)),
                    account: Account(tenant: "t\(number % 50)"),
                    from: time, to: time + second, usage: usage, inFlight: 0, totals: totals[number % 50]
                ).write(to: &line)
                if number % 3 == 1 { line[60] ^= 1 }
                lines += line
            }
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data(lines).write(to: URL(fileURLWithPath: path + "/2026-10-30.jsonl"))
            let clock = ContinuousClock()
            let time = try clock.measure {
                let statement = try Statement(LedgerFolder(path), query: UsageQuery(from: start, to: start + Story.day))
                #expect(statement.mended.count == 10_000 || !statement.damage.isEmpty)
                #expect(statement.rows.reduce(0) { $0 + $1.usage.admitted } >= 29_900)
            }
            #expect(time < .seconds(20))
        }
    }
}
