import Foundation
import Metering
import Storage
import TestSupport
import Testing

/// 2026-11-23T12:00:00Z
let noon: UInt64 = 1_795_435_200_000_000_000
let second: UInt64 = 1_000_000_000

@Suite struct LedgerTests {
    typealias SimulatedLedger = Ledger<SimulatedTable>

    static func open(
        _ table: SimulatedTable, _ folder: String, at now: UInt64 = noon, files: FailingFiles = FailingFiles()
    ) throws -> (ledger: SimulatedLedger, recovery: Recovery) {
        table.files = files
        func attempt() throws -> (ledger: SimulatedLedger, recovery: Recovery)? {
            try Ledger.open(
                table: table, journal: Journal(folder: folder, files: files), now: now, interval: 5 * second)
        }
        // A program that another test starts holds our locks from its fork to its exec.
        for _ in 0..<100 {
            if let found = try attempt() { return found }
            usleep(10_000)
        }
        return try #require(try attempt())
    }

    /// What the ledger says is what was counted, each line once.
    static func expectComplete(_ table: SimulatedTable, _ folder: String, _ note: Comment? = nil) throws {
        let books = try Books(folder)
        #expect(books.ids.count == books.records.count, note)
        for (account, counters) in zip(table.accounts, table.counted) {
            #expect(books.sums[account] ?? Usage() == Usage(from: UsageCounters(), to: counters), note)
        }
    }

    @Test("noon is noon") func time() { #expect(Timestamp.text(noon) == "2026-11-23T12:00:00Z") }

    @Test("counters that came back older than what is written of them are nobody's bill")
    func countersBehind() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            table.add(Account(tenant: "acme"))
            let (ledger, _) = try Self.open(table, folder)
            table.counted[0][.admitted] = 20
            try ledger.close(at: noon + 5 * second)
            table.counted[0][.admitted] = 15
            #expect(try ledger.close(at: noon + 10 * second).lines == 0)
            table.counted[0][.admitted] += 2
            try ledger.close(at: noon + 15 * second)
            #expect(try Books(folder).sums[Account(tenant: "acme")]?.admitted == 22)
        }
    }

    @Test("an interval becomes a line for each account that used anything, and none for the others")
    func lines() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            for name in ["acme", "globex", "idle"] { table.add(Account(tenant: name)) }
            table.add(Account(tenant: "acme", key: "ci"))
            let (ledger, recovery) = try Self.open(table, folder)
            #expect(recovery == Recovery())
            table.counted[0][.admitted] = 7
            table.counted[0][.status2xx] = 5
            table.counted[0][.refusedByQuota] = 2
            table.counted[0][.upstreamMicroseconds] = 1999
            table.flying[0] = 2
            table.counted[1][.refusedByRate] = 1
            table.counted[3][.admitted] = 7
            #expect(try ledger.close(at: noon + 5 * second).lines == 3)
            #expect(try ledger.close(at: noon + 10 * second).lines == 0)
            table.counted[0][.upstreamMicroseconds] = 2001
            #expect(try ledger.close(at: noon + 15 * second).lines == 1)
            let text = try String(contentsOfFile: folder + "/2026-11-23.jsonl", encoding: .utf8)
            let records = try Books(folder).records
            #expect(text.split(separator: "\n").count == 4)
            #expect(
                records.map(\.account) == [table.accounts[0], table.accounts[1], table.accounts[3], table.accounts[0]])
            #expect(records[0].usage.admitted == 7 && records[0].usage.settled == 5 && records[0].inFlight == 2)
            #expect(records[0].usage.allRefused == 2 && records[0].usage.upstreamMilliseconds == 1)
            #expect(records[0].from == noon && records[0].to == noon + 5 * second)
            #expect(records[3].from == noon + 10 * second && records[3].usage.upstreamMilliseconds == 1)
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(text.split(separator: "\n")[0].utf8)) as? [String: Any])
            #expect(object["tenant"] as? String == "acme" && object["admitted"] as? Int == 7)
            #expect((object["refused"] as? [String: Int]) == ["quota-exceeded": 2])
            #expect(object["from"] as? String == "2026-11-23T12:00:00.000Z")
            #expect((object["id"] as? String)?.hasSuffix("-1-1") == true)
        }
    }

    @Test("an interval never reaches over an hour, and midnight begins a file")
    func hours() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            table.add(Account(tenant: "acme"))
            let start = noon + 12 * 3600 * second - 3 * second
            let (ledger, _) = try Self.open(table, folder, at: start)
            table.counted[0][.admitted] = 1
            try ledger.close(at: start + 3 * second + 20_000_000)
            table.counted[0][.admitted] = 2
            try ledger.close(at: start + 8 * second)
            let records = try Books(folder).records
            #expect(records.map(\.to) == [start + 3 * second, start + 8 * second])
            #expect(FileManager.default.fileExists(atPath: folder + "/2026-11-24.jsonl"))
        }
    }

    @Test("a process that dies before any of its stores or file calls counts everything once")
    func deaths() throws {
        for isInFiles in [false, true] {
            for death in 0..<60 {
                try withFolder { folder in
                    var random = SeededGenerator(state: UInt64(death))
                    let table = SimulatedTable()
                    for name in ["a", "b", "c"] { table.add(Account(tenant: name)) }
                    let files = FailingFiles()
                    var now = noon
                    // A life that ends somewhere, then another that ends there too, then one that goes on.
                    for life in 0..<3 {
                        files.fail(after: nil)
                        table.storesLeft = nil
                        if !isInFiles, life < 2 { table.storesLeft = death }
                        let opened = try? Self.open(table, folder, at: now, files: files)
                        if isInFiles, life < 2 { files.fail(after: death / (life + 1), forGood: true) }
                        for _ in 0..<5 {
                            table.use(Int.random(in: 0..<3, using: &random), &random)
                            now += 5 * second
                            if table.storesLeft == 0 || opened == nil { break }
                            if (try? opened?.ledger.close(at: now)) == nil, isInFiles { break }
                        }
                        table.epoch += 1
                        now += 60 * second
                    }
                    let (ledger, _) = try Self.open(table, folder, at: now)
                    try ledger.close(at: now + 5 * second)
                    try Self.expectComplete(table, folder, "death \(death) in \(isInFiles ? "files" : "table")")
                }
            }
        }
    }

    @Test("a ledger cut at any byte of its last lines is written again to the last unit")
    func cutAnywhere() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            var random = SeededGenerator(state: 5)
            for name in ["a", "b"] { table.add(Account(tenant: name)) }
            func life(_ closings: Int, from now: UInt64) throws {
                let (ledger, _) = try Self.open(table, folder, at: now)
                for closing in 0..<closings {
                    table.use(closing % 2, &random)
                    if closing % 3 == 0 { table.use(0, &random) }
                    try ledger.close(at: now + UInt64(closing + 1) * 5 * second)
                }
                table.epoch += 1
            }
            try life(3, from: noon)
            try life(3, from: noon + 3600 * second)
            let path = folder + "/2026-11-23.jsonl"
            let whole = try #require(FileManager.default.contents(atPath: path))
            let kept = (table.words, table.header)
            for size in 0..<whole.count {
                try whole.prefix(size).write(to: URL(fileURLWithPath: path))
                (table.words, table.header) = kept
                let (ledger, recovery) = try Self.open(table, folder, at: noon + 7200 * second)
                #expect(recovery.rewound > 0 && recovery.unknown == 0 || size == whole.count - 1)
                try ledger.close(at: noon + 7205 * second)
                try Self.expectComplete(table, folder, "cut at \(size)")
            }
        }
    }

    @Test("a full disk loses nothing: the ledger catches up, hour by hour")
    func fullDisk() throws {
        for failing in 0..<10 {
            try withFolder { folder in
                let table = SimulatedTable()
                var random = SeededGenerator(state: UInt64(failing))
                for name in ["a", "b"] { table.add(Account(tenant: name)) }
                let files = FailingFiles()
                let (ledger, _) = try Self.open(table, folder, files: files)
                var now = noon
                var atHours: [UInt64: [UsageCounters]] = [:]
                for step in 0..<48 {
                    if step == 5 { files.fail(after: failing, forGood: true) }
                    if step == 40 { files.fail(after: nil) }
                    for slot in 0..<2 { table.use(slot, &random) }
                    now += 600 * second
                    if now % (3600 * second) == 0 { atHours[now] = table.counted }
                    do throws(StorageFault) {
                        try ledger.close(at: now)
                        #expect(ledger.unwritten == 0)
                    } catch {
                        #expect(error.isFull)
                        #expect(ledger.unwritten > 0)
                    }
                }
                try Self.expectComplete(table, folder, "failing \(failing)")
                // The hours are those in which it was used, not those in which it could be written.
                for (hour, counters) in atHours {
                    for (index, account) in table.accounts.enumerated() {
                        var sum = Usage()
                        for record in try Books(folder).records where record.account == account && record.from < hour {
                            sum.add(record.usage)
                        }
                        #expect(sum == Usage(from: UsageCounters(), to: counters[index]), "failing \(failing)")
                    }
                }
            }
        }
    }

    @Test("after a power cut counters older than the ledger are raised to it, and nothing is said twice")
    func powerCut() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            var random = SeededGenerator(state: 9)
            for name in ["a", "b"] { table.add(Account(tenant: name)) }
            var ledger: SimulatedLedger? = try Self.open(table, folder).ledger
            table.use(0, &random)
            try ledger?.close(at: noon + 5 * second)
            // What the disk has of the table.
            let (words, header, counted) = (table.words, table.header, table.counted)
            for slot in [0, 1] { table.use(slot, &random) }
            try ledger?.close(at: noon + 10 * second)
            let lost = table.counted
            (table.words, table.header, table.counted) = (words, header, counted)
            table.boot += 1
            ledger = nil
            table.epoch += 1
            let (again, recovery) = try Self.open(table, folder, at: noon + 60 * second)
            #expect(recovery.raised == 2 && table.counted == lost)
            table.use(1, &random)
            try again.close(at: noon + 65 * second)
            try Self.expectComplete(table, folder)
        }
    }

    @Test("a slot whose words a power cut tore apart goes by the ledger")
    func torn() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            var random = SeededGenerator(state: 9)
            table.add(Account(tenant: "a"))
            var ledger: SimulatedLedger? = try Self.open(table, folder).ledger
            table.use(0, &random)
            try ledger?.close(at: noon + 5 * second)
            table.words[0][4] += 1
            table.use(0, &random)
            ledger = nil
            table.epoch += 1
            let (again, recovery) = try Self.open(table, folder, at: noon + 60 * second)
            #expect(recovery.rewound == 1)
            try again.close(at: noon + 65 * second)
            try Self.expectComplete(table, folder)
        }
    }

    @Test("files that were taken away are not written again")
    func archived() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            var random = SeededGenerator(state: 9)
            table.add(Account(tenant: "a"))
            var ledger: SimulatedLedger? = try Self.open(table, folder).ledger
            table.use(0, &random)
            try ledger?.close(at: noon + 5 * second)
            try FileManager.default.removeItem(atPath: folder + "/2026-11-23.jsonl")
            ledger = nil
            table.epoch += 1
            let (again, recovery) = try Self.open(table, folder, at: noon + 60 * second)
            #expect(recovery == Recovery())
            #expect(try again.close(at: noon + 65 * second).lines == 0)
        }
    }

    @Test("one process has the ledger; a retired slot is given up when all of it is written")
    func lockAndRelease() throws {
        try withFolder { folder in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let (ledger, _) = try Self.open(table, folder)
            #expect(try Ledger.open(table: table, journal: Journal(folder: folder), now: noon, interval: second) == nil)
            table.counted[0][.admitted] = 1
            table.flying[0] = 1
            table.retired = [0]
            try ledger.close(at: noon + second)
            try ledger.close(at: noon + 2 * second)
            #expect(table.released.isEmpty)
            table.flying[0] = 0
            table.counted[0][.status2xx] = 1
            try ledger.close(at: noon + 3 * second)
            #expect(table.released.isEmpty)
            try ledger.close(at: noon + 4 * second)
            #expect(table.released == [0])
            try Self.expectComplete(table, folder)
        }
    }

    @Test("for random histories the ledger and what is not yet written are the lifetime counters", arguments: 0..<40)
    func histories(seed: Int) throws {
        try withFolder { folder in
            var random = SeededGenerator(state: UInt64(seed) &* 977)
            let table = SimulatedTable()
            for index in 0..<5 { table.add(Account(tenant: "t\(index)", key: index == 4 ? "k" : nil)) }
            let files = FailingFiles()
            var now = noon
            var ledger: SimulatedLedger? = try Self.open(table, folder, files: files).ledger
            for _ in 0..<120 {
                now += UInt64.random(in: 0...900, using: &random) * second
                switch Int.random(in: 0..<10, using: &random) {
                case 0:
                    // Killed, at a store or a call, and started again.
                    table.storesLeft = Int.random(in: 0..<40, using: &random)
                    if Bool.random(using: &random) {
                        files.fail(after: Int.random(in: 0..<5, using: &random), forGood: true)
                    }
                    _ = try? ledger?.close(at: now)
                    ledger = nil
                    files.fail(after: nil)
                    (table.storesLeft, table.epoch) = (nil, table.epoch + 1)
                    ledger = try Self.open(table, folder, at: now, files: files).ledger
                case 1: files.fail(after: Int.random(in: 0..<6, using: &random), forGood: Bool.random(using: &random))
                case 2: files.fail(after: nil)
                case 3, 4, 5: _ = try? ledger?.close(at: now)
                default: table.use(Int.random(in: 0..<5, using: &random), &random)
                }
                // At any moment: nothing is said that was not counted.
                let sums = try Books(folder).sums
                for (account, counters) in zip(table.accounts, table.counted) {
                    #expect(sums[account]?.admitted ?? 0 <= counters[.admitted])
                }
            }
            files.fail(after: nil)
            try ledger?.close(at: now + second)
            try Self.expectComplete(table, folder, "seed \(seed)")
        }
    }
}
