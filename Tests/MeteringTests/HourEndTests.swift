import Base
import Storage
import TestSupport
import Testing

@testable import Metering

/// Intervals that are written late, or by a time of day that turns out to be another one.
@Suite("Ends of hours and of waits") struct HourEndTests {
    static let hour = noon + 12 * 3600 * second
    /// What the time of day is ahead of the monotonic clock.
    static let offset: UInt64 = 1_000_000 * second

    /// Requests admitted by day: `noon` and the day behind it.
    static func days(_ path: String) throws -> [UInt64] {
        try Statement(LedgerFolder(path), query: UsageQuery(by: .day)).rows.map(\.usage.admitted)
    }

    @Test("a disk that keeps the ledger waiting over a day's end moves no request to another day", arguments: [3, 6, 300, 7000])
    func stall(seconds: UInt64) throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let ledger = try LedgerTests.open(table, path, at: noon).ledger
            try ledger.close(at: Self.hour - 5 * second, offset: Self.offset)
            table.counted[0][.admitted] = 100
            table.counted[0][.responseBytes] = 1000
            // Two of these came after midnight.
            table.counted[0][.admitted] += 2
            table.earlyOnes[0] = 2
            let end = HourEnd(table, time: Self.hour, offset: Self.offset)
            // Then some came, of other accounts too.
            table.add(Account(tenant: "b"))
            table.counted[0][.admitted] += 10
            table.counted[0][.responseBytes] += 7
            table.counted[1][.admitted] = 5
            let late = Self.hour + seconds * second
            var ends = [end]
            if seconds > 3600 { ends.append(HourEnd(table, time: Self.hour + 3600 * second, offset: Self.offset)) }
            try ledger.close(at: late, offset: Self.offset, ended: ends)
            try ledger.close(at: late + 5 * second, offset: Self.offset)
            let rows = try Statement(LedgerFolder(path), query: UsageQuery(by: .day)).rows
            #expect(rows.map(\.tenant) == ["a", "a", "b"] && rows.map(\.usage.admitted) == [100, 12, 5])
            #expect(rows.map(\.usage.responseBytes) == [1000, 7, 0])
            #expect(try Books(path).sums.values.reduce(0) { $0 + $1.admitted } == 117)
        }
    }

    @Test("and a disk that is full moves none either")
    func full() throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let files = FailingFiles()
            let ledger = try LedgerTests.open(table, path, at: noon, files: files).ledger
            table.counted[0][.admitted] = 100
            let end = HourEnd(table, time: Self.hour, offset: Self.offset)
            table.counted[0][.admitted] = 110
            files.fail(after: 0, forGood: true)
            #expect(throws: StorageFault.self) {
                try ledger.close(at: Self.hour + 60 * second, offset: Self.offset, ended: [end])
            }
            files.fail(after: nil)
            try ledger.close(at: Self.hour + 90 * second, offset: Self.offset)
            #expect(try Self.days(path) == [100, 10])
        }
    }

    @Test("an hour's end is none by another time of day, nor once the ledger has ended it itself")
    func none() throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let ledger = try LedgerTests.open(table, path, at: noon).ledger
            table.counted[0][.admitted] = 100
            let end = HourEnd(table, time: Self.hour, offset: Self.offset - 60 * second)
            try ledger.close(at: Self.hour, offset: Self.offset)
            table.counted[0][.admitted] = 110
            let other = HourEnd(table, time: Self.hour, offset: Self.offset)
            try ledger.close(at: Self.hour + 60 * second, offset: Self.offset, ended: [end, other])
            #expect(try Self.days(path) == [100, 10])
        }
    }

    @Test("where the time of day was set, the interval under way began by the new one", arguments: [40 * 86_400, 3600 * 12, -3600 * 13])
    func set(seconds: Int64) throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let ledger = try LedgerTests.open(table, path, at: noon).ledger
            try ledger.close(at: noon + second, offset: Self.offset)
            table.counted[0][.admitted] = 10
            // Ten minutes later.
            let step = UInt64(bitPattern: seconds * Int64(second))
            try ledger.close(at: noon &+ 600 * second &+ step, offset: Self.offset &+ step)
            let records = try Books(path).records
            #expect(records.map(\.from) == [noon &+ second &+ step] && records[0].to == noon &+ 600 * second &+ step)
        }
    }

    @Test(
        "what a clock that was ahead has written moves nothing that was used after it was set right",
        arguments: [[], [5]] as [[UInt64]], [true, false])
    func endsOfLines(written: [UInt64], isSameBoot: Bool) throws {
        try withFolder { folder in
            let table = SimulatedTable()
            table.add(Account(tenant: "acme"))
            let (right, ahead) = (noon - 1000 * second, 3 * Timestamp.day)
            func open(at now: UInt64) throws -> Ledger<SimulatedTable> {
                let journal = try Journal(folder: folder)
                return try #require(try Ledger.open(table: table, journal: journal, now: now, offset: right, interval: 5 * second)).ledger
            }
            var ledger: Ledger? = try open(at: noon)
            table.counted[0][.admitted] += 1
            try ledger?.close(at: noon + ahead, offset: right + ahead)
            // Whether anything was used in the first interval of the clock that is right or not.
            try ledger?.close(at: noon + 3 * second, offset: right)
            for time in written {
                table.counted[0][.admitted] += 1
                try ledger?.close(at: noon + time * second, offset: right)
            }
            let end = noon + (written.last ?? 3) * second
            table.counted[0][.admitted] += 10
            ledger = nil
            table.epoch += 1
            if !isSameBoot { table.boot += 1 }
            // On the next day.
            ledger = try open(at: noon + Timestamp.day)
            let last = try #require(try Books(folder).records.max { $0.id.place < $1.id.place })
            #expect(last.usage.admitted == 10 && last.from == end, "\(Timestamp.text(last.from))")
            _ = ledger
        }
    }

    @Test("after a stop over a day's end the first interval begins with the start")
    func stop() throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            do {
                let ledger = try LedgerTests.open(table, path, at: noon).ledger
                table.counted[0][.admitted] = 3
                try ledger.close(at: noon + second)
            }
            // Counted, and the process ends.
            table.counted[0][.admitted] = 10
            let again = try LedgerTests.open(table, path, at: Self.hour + 9000 * second).ledger
            table.counted[0][.admitted] = 15
            try again.close(at: Self.hour + 9005 * second)
            #expect(try Self.days(path) == [10, 5])
            #expect(try Books(path).records.last?.from == Self.hour + 9000 * second)
        }
    }

    @Test("what was counted in a boot of which no clock is believed yet waits, over restarts too")
    func starting() throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            do {
                let first = try LedgerTests.open(table, path, at: noon).ledger
                try first.close(at: noon + second, offset: Self.offset)
            }
            table.counted[0][.admitted] = 7
            // The machine is off for three days; that much is known, and is written by it.
            table.boot += 1
            func open(at now: UInt64, offset: UInt64, isStarting: Bool) throws -> Ledger<SimulatedTable> {
                try #require(
                    try Ledger.open(
                        table: table, journal: Journal(folder: path), now: now, offset: offset, isStarting: isStarting,
                        interval: 5 * second)
                ).ledger
            }
            _ = try open(at: noon + 2 * second, offset: 7 * second, isStarting: true)
            table.counted[0][.admitted] = 12
            _ = try open(at: noon + 300 * second, offset: 7 * second, isStarting: true)
            table.counted[0][.admitted] = 20
            #expect(try Books(path).sums[Account(tenant: "a")]?.admitted == 7)
            let away = 3 * 86_400 * second
            let ledger = try open(at: noon + away + 602 * second, offset: 7 * second + away, isStarting: false)
            try ledger.close(at: noon + away + 605 * second, offset: 7 * second + away)
            let rows = try Statement(LedgerFolder(path), query: UsageQuery(by: .day)).rows
            #expect(rows.map(\.usage.admitted) == [7, 13])
            #expect(rows.map(\.from) == [noon - noon % Timestamp.day, noon - noon % Timestamp.day + away])
        }
    }
}
