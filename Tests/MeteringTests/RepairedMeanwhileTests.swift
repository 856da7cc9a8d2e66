import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Metering

/// The files of this machine, between two calls of which somebody else does something, once.
private final class MeddledFiles: FileOperations, @unchecked Sendable {
    private let disk = DiskFiles()
    private var left: Int
    private var meddle: (() throws -> Void)?
    private(set) var fault: (any Error)?

    init(after calls: Int, _ meddle: @escaping () throws -> Void) { (left, self.meddle) = (calls, meddle) }

    var hasMeddled: Bool { meddle == nil }

    private func pass() {
        left -= 1
        guard left < 0, let meddle else { return }
        self.meddle = nil
        do { try meddle() } catch { fault = error }
    }

    func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32 {
        pass()
        return try disk.open(path, writing: writing)
    }
    func close(_ descriptor: Int32) { disk.close(descriptor) }
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        pass()
        return try disk.read(descriptor, into: room, at: offset)
    }
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        try disk.write(descriptor, bytes, at: offset)
    }
    func sync(_ descriptor: Int32) throws(StorageFault) { try disk.sync(descriptor) }
    func truncate(_ descriptor: Int32, to size: Int) throws(StorageFault) { try disk.truncate(descriptor, to: size) }
    func status(_ descriptor: Int32) throws(StorageFault) -> FileStatus { try disk.status(descriptor) }
    func status(path: String) throws(StorageFault) -> FileStatus? {
        pass()
        return try disk.status(path: path)
    }
    func list(_ folder: String) throws(StorageFault) -> [String] {
        pass()
        return try disk.list(folder)
    }
    func makeFolder(_ folder: String) throws(StorageFault) { try disk.makeFolder(folder) }
    func syncFolder(_ folder: String) throws(StorageFault) { try disk.syncFolder(folder) }
    func rename(_ path: String, to new: String) throws(StorageFault) { try disk.rename(path, to: new) }
    func remove(_ path: String) throws(StorageFault) { try disk.remove(path) }
    func lock(_ descriptor: Int32) throws(StorageFault) -> Bool { try disk.lock(descriptor) }
}

/// The files of this machine, to each of which something is done whenever it was opened.
private final class TouchingFiles: FileOperations, @unchecked Sendable {
    private let disk = DiskFiles()
    private let touch: (String) -> Void
    private(set) var count = 0

    init(_ touch: @escaping (String) -> Void) { self.touch = touch }

    func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32 {
        let descriptor = try disk.open(path, writing: writing)
        // Times of files have the grain of a tick.
        usleep(5_000)
        touch(path)
        count += 1
        return descriptor
    }
    func close(_ descriptor: Int32) { disk.close(descriptor) }
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        try disk.read(descriptor, into: room, at: offset)
    }
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        try disk.write(descriptor, bytes, at: offset)
    }
    func sync(_ descriptor: Int32) throws(StorageFault) { try disk.sync(descriptor) }
    func truncate(_ descriptor: Int32, to size: Int) throws(StorageFault) { try disk.truncate(descriptor, to: size) }
    func status(_ descriptor: Int32) throws(StorageFault) -> FileStatus { try disk.status(descriptor) }
    func status(path: String) throws(StorageFault) -> FileStatus? { try disk.status(path: path) }
    func list(_ folder: String) throws(StorageFault) -> [String] { try disk.list(folder) }
    func makeFolder(_ folder: String) throws(StorageFault) { try disk.makeFolder(folder) }
    func syncFolder(_ folder: String) throws(StorageFault) { try disk.syncFolder(folder) }
    func rename(_ path: String, to new: String) throws(StorageFault) { try disk.rename(path, to: new) }
    func remove(_ path: String) throws(StorageFault) { try disk.remove(path) }
    func lock(_ descriptor: Int32) throws(StorageFault) -> Bool { try disk.lock(descriptor) }
}

/// Who reads takes no turn: files are replaced, shortened and taken away under him.
@Suite("What is changed while it is read") struct RepairedMeanwhileTests {
    enum Way: CaseIterable {
        /// Lines that only totals tell are written, and strays go where they belong.
        case repair
        case rollup
        case removal
        case compression
        /// A repaired file gives its place to the one that was kept.
        case putBack
        /// What a line of a failed append was is cut off.
        case cut
    }

    /// What is done to a ledger before it is read, and what then, meanwhile.
    private static func begin(_ way: Way, _ story: Story) throws -> () throws -> Void {
        let (one, other) = ("2026-10-31.jsonl", "2026-11-01.jsonl")
        func damage() throws {
            var (first, second) = (story.lines(one), story.lines(other))
            first[1][60] ^= 1
            second = first.suffix(2) + second
            first.removeLast(2)
            try story.put(first, one)
            try story.put(second + [second[3]], other)
        }
        let repair = { try LedgerCheck(story.folder, memory: story.memory).repair() }
        switch way {
        case .repair:
            try damage()
            return repair
        case .rollup: return { _ = try story.rollUp(.day) }
        case .removal:
            _ = try story.rollUp(.day)
            return { _ = try story.rollUp(.day, retention: 0) }
        case .compression:
            _ = try story.rollUp(.day)
            return { _ = try Rollup(story.folder, finest: .day, retention: nil, compression: 0).run(closed: story.end) }
        case .putBack:
            try damage()
            try repair()
            return {
                for name in [one, other] {
                    let kept = try FileManager.default.contentsOfDirectory(atPath: story.path).contains(name + ".damaged")
                    guard kept else { continue }
                    try DiskFiles().rename(story.path + "/" + name + ".damaged", to: story.path + "/" + name)
                }
            }
        case .cut:
            let file = try #require(story.files.last)
            let whole = story.content(file)
            let line = try #require(story.lines(file).last)
            try story.write(whole + line, file)
            return {
                let descriptor = try DiskFiles().open(story.path + "/" + file, writing: true)
                try DiskFiles().truncate(descriptor, to: whole.count)
                DiskFiles().close(descriptor)
            }
        }
    }

    @Test("changes nothing that is stated", arguments: Way.allCases)
    func all(way: Way) throws {
        try withFolder { path in
            let story = try Story(path + "/ledger")
            let meddle = try Self.begin(way, story)
            let before = path + "/before"
            try FileManager.default.copyItem(atPath: path + "/ledger", toPath: before)
            var (calls, step) = (0, 0)
            var isOver = false
            while !isOver {
                defer { calls += 1 + step / 40 }
                step += 1
                try FileManager.default.removeItem(atPath: path + "/ledger")
                try FileManager.default.copyItem(atPath: before, toPath: path + "/ledger")
                let files = MeddledFiles(after: calls, meddle)
                let folder = LedgerFolder(story.path, files: files)
                let query = UsageQuery(by: step % 2 == 0 ? .day : .month)
                let statement = try Statement(folder, query: query, memory: story.memory)
                #expect(files.fault == nil && statement.damage.isEmpty && statement.tooCoarse.isEmpty, "\(calls)")
                #expect(story.told(statement) == story.truth(0, .max), "call \(calls)")
                isOver = !files.hasMeddled
            }
            #expect(step > 20)
        }
    }

    @Test("is not called damaged by a look at all of it", arguments: Way.allCases)
    func verified(way: Way) throws {
        try withFolder { path in
            let story = try Story(path + "/ledger")
            let meddle = try Self.begin(way, story)
            let before = path + "/before"
            try FileManager.default.copyItem(atPath: path + "/ledger", toPath: before)
            var calls = 0
            while true {
                try FileManager.default.removeItem(atPath: path + "/ledger")
                try FileManager.default.copyItem(atPath: before, toPath: path + "/ledger")
                let files = MeddledFiles(after: calls, meddle)
                let check = try LedgerCheck(LedgerFolder(story.path, files: files), memory: story.memory)
                #expect(check.damage.isEmpty && check.missing.isEmpty, "call \(calls)")
                if !files.hasMeddled { break }
                calls += 1 + calls / 40
            }
        }
    }

    @Test("and a stream of days neither", arguments: [Way.repair, .removal, .compression, .putBack])
    func streamed(way: Way) throws {
        try withFolder { path in
            let story = try Story(path + "/ledger")
            let meddle = try Self.begin(way, story)
            let before = path + "/before"
            try FileManager.default.copyItem(atPath: path + "/ledger", toPath: before)
            var calls = 0
            while true {
                try FileManager.default.removeItem(atPath: path + "/ledger")
                try FileManager.default.copyItem(atPath: before, toPath: path + "/ledger")
                let files = MeddledFiles(after: calls, meddle)
                var sum: [String: UInt64] = [:]
                try UsageStream(
                    LedgerFolder(story.path, files: files), query: UsageQuery(by: .day), memory: story.memory
                ).forEach { statement in
                    #expect(statement.damage.isEmpty && statement.tooCoarse.isEmpty, "call \(calls)")
                    sum.merge(story.told(statement)) { $0 + $1 }
                    return true
                }
                #expect(sum == story.truth(0, .max), "call \(calls)")
                if !files.hasMeddled { break }
                calls += 1 + calls / 40
            }
        }
    }

    @Test("a new day begins, or an interval that could not be written is cut off, while what is over is added up")
    func rolledUp() throws {
        try withFolder { path in
            let story = try Story(path + "/ledger")
            let (memory, told) = (story.memory, story.truth(0, .max))
            let last = try #require(story.files.last)
            let line = try #require(story.lines(last).last)
            let (before, after) = (path + "/before", path + "/after")
            for copy in [before, after] { try FileManager.default.copyItem(atPath: path + "/ledger", toPath: copy) }
            var random = SeededGenerator(state: 2)
            story.table.epoch += 1
            story.table.use(0, &random)
            try LedgerTests.open(story.table, after, at: story.end).ledger.close(at: story.end + second)
            let today = "\(Timestamp.dayText(story.end)).jsonl"
            #expect(!story.files.contains(today))
            let meddlings: [() throws -> Void] = [
                { try FileManager.default.copyItem(atPath: after + "/" + today, toPath: path + "/ledger/" + today) },
                { try story.write(story.content(last).dropLast(line.count), last) },
            ]
            for (kind, meddle) in meddlings.enumerated() {
                var calls = 0
                while true {
                    try FileManager.default.removeItem(atPath: path + "/ledger")
                    try FileManager.default.copyItem(atPath: before, toPath: path + "/ledger")
                    if kind == 1 { try story.write(story.content(last) + line, last) }
                    let files = MeddledFiles(after: calls, meddle)
                    let report = try Rollup(LedgerFolder(story.path, files: files), finest: .day, retention: nil)
                        .run(closed: story.end, memory: memory)
                    #expect(files.fault == nil && report.damage.isEmpty && report.written.count == 5, "\(kind) at \(calls)")
                    let said = try Statement(story.folder, query: UsageQuery(to: story.end, by: .day), memory: memory)
                    #expect(said.damage.isEmpty && story.told(said) == told, "\(kind) at \(calls)")
                    if !files.hasMeddled { break }
                    calls += 1 + calls / 10
                }
                #expect(calls > 20)
            }
        }
    }

    @Test("what a full disk takes in part is cut off again and again, and nobody is kept from reading")
    func full() throws {
        try withFolder { path in
            let story = try Story(path)
            let file = path + "/" + (try #require(story.files.last))
            let size = story.content("2026-11-01.jsonl").count
            let files = TouchingFiles { path in
                guard path == file else { return }
                let descriptor = try? DiskFiles().open(file, writing: true)
                guard let descriptor else { return }
                try? DiskFiles().write(descriptor, all: [0x7B], at: size)
                try? DiskFiles().truncate(descriptor, to: size)
                DiskFiles().close(descriptor)
            }
            let folder = LedgerFolder(path, files: files)
            let statement = try Statement(folder, query: UsageQuery(by: .day), memory: story.memory)
            #expect(statement.damage.isEmpty && story.told(statement) == story.truth(0, .max))
            #expect(try LedgerCheck(folder, memory: story.memory).damage.isEmpty)
            #expect(files.count > 2)
        }
    }

    @Test("what is changed all the time is an error, not a figure")
    func always() throws {
        try withFolder { path in
            let story = try Story(path)
            let file = path + "/2026-10-30.jsonl"
            let whole = story.content("2026-10-30.jsonl")
            let ending = Mutex(false)
            let thread = Thread {
                while !ending.withLock({ $0 }) {
                    try? Data(whole).write(to: URL(fileURLWithPath: file + ".new"))
                    try? DiskFiles().rename(file + ".new", to: file)
                }
            }
            thread.start()
            defer { ending.withLock { $0 = true } }
            for _ in 0..<3 {
                do {
                    let statement = try Statement(story.folder, query: UsageQuery(), memory: story.memory)
                    #expect(statement.damage.isEmpty && story.told(statement) == story.truth(0, .max))
                } catch { #expect("\(error)".contains("is changed whenever it is read")) }
            }
        }
    }
}

/// Who changes a ledger's files.
@Suite("Turns at a ledger") struct TurnTests {
    @Test("one has it; who waits is told so after a second, and gets it then")
    func waits() throws {
        try withFolder { path in
            let folder = LedgerFolder(path)
            let turn = try LedgerTurn.take(in: folder)
            let told = Mutex<[String]>([])
            let other = Thread {
                let turn = try? LedgerTurn.take(in: LedgerFolder(path)) { path in told.withLock { $0.append(path) } }
                turn?.end()
                told.withLock { $0.append(turn == nil ? "failed" : "done") }
            }
            other.start()
            usleep(700_000)
            #expect(told.withLock { $0 } == [])
            while told.withLock({ $0.isEmpty }) { usleep(10_000) }
            let text = told.withLock { $0 }
            #expect(text.count == 1 && text[0].hasPrefix(path + "/.turn (process \(getpid()); "))
            #expect(text[0].contains("don't remove"))
            turn.end()
            while told.withLock({ $0.count < 2 }) { usleep(10_000) }
            #expect(told.withLock { $0 }.last == "done")
        }
    }

    @Test("a file of it that is removed meanwhile lets nobody in twice")
    func removed() throws {
        try withFolder { path in
            let folder = LedgerFolder(path)
            let first = try LedgerTurn.take(in: folder)
            try DiskFiles().remove(path + "/.turn")
            // Whose file is gone has the turn no more; the one after him and nobody else has it.
            let second = try LedgerTurn.take(in: folder)
            first.end()
            let told = Mutex(false)
            let third = Thread { if let turn = try? LedgerTurn.take(in: LedgerFolder(path)) { told.withLock { $0 = true }; turn.end() } }
            third.start()
            usleep(200_000)
            #expect(!told.withLock { $0 })
            second.end()
            while !told.withLock({ $0 }) { usleep(10_000) }
        }
    }

    @Test("what is in its place is said, and nothing is changed")
    func foreign() throws {
        try withFolder { path in
            let story = try Story(path)
            let turn = path + "/.turn"
            let before = story.files
            func check(_ note: Comment) {
                #expect(throws: StorageFault.self, note) { _ = try story.rollUp(.day) }
                #expect(story.files == before, note)
                #expect(throws: Never.self, note) { _ = try Statement(story.folder, query: UsageQuery()) }
            }
            try DiskFiles().makeFolder(turn)
            check("a folder")
            rmdir(turn)
            try FileManager.default.createSymbolicLink(atPath: turn, withDestinationPath: path + "/elsewhere")
            check("a link that leads nowhere")
            #expect(!FileManager.default.fileExists(atPath: path + "/elsewhere"))
            try Data().write(to: URL(fileURLWithPath: path + "/elsewhere"))
            check("a link")
            try DiskFiles().remove(turn)
            mkfifo(turn, 0o600)
            check("a pipe")
            try DiskFiles().remove(turn)
            #expect(try story.rollUp(.day).written.count > 1)
        }
    }
}
