import Base
import Foundation
import Storage
import TestSupport
import Testing

@Suite struct JournalTests {
    @Test("the checksum is that of gzip")
    func checksum() {
        func crc(_ text: String) -> UInt32 { Array(text.utf8).withUnsafeBytes { CRC32.checksum($0) } }
        #expect(crc("") == 0)
        #expect(crc("123456789") == 0xCBF4_3926)
        #expect(crc("The quick brown fox jumps over the lazy dog") == 0x414F_A339)
    }

    @Test("a changed byte anywhere makes a line bad")
    func changed() {
        let good = Array(line(30).dropLast())
        #expect(good.withUnsafeBytes { CheckedLine.isValid($0) })
        for place in good.indices {
            for bit in 0..<8 {
                var bad = good
                bad[place] ^= 1 << UInt8(bit)
                #expect(!bad.withUnsafeBytes { CheckedLine.isValid($0) }, "byte \(place) bit \(bit)")
            }
            #expect(!good[..<place].withUnsafeBytes { CheckedLine.isValid($0) })
        }
    }

    @Test("a file cut at any byte is good up to its last whole line, and the next append follows it")
    func cutAnywhere() throws {
        try withFolder { folder in
            let journal = try Journal(folder: folder)
            try journal.append((0..<5).flatMap(line), to: "a.jsonl")
            journal.close()
            let whole = bytes(journal.path("a.jsonl"))
            var ends: [Int] = [0]
            for number in 0..<5 { ends.append(ends.last! + line(number).count) }
            for size in 0...whole.count {
                try Data(whole[..<size]).write(to: URL(fileURLWithPath: journal.path("a.jsonl")))
                let left = ends.lastIndex { $0 <= size }!
                #expect(try numbers(journal.path("a.jsonl")) == Array(0..<left))
                let cut = try journal.append(line(7), to: "a.jsonl")
                #expect(cut == (size == ends[left] ? nil : Journal.Cut(file: "a.jsonl", bytes: size - ends[left])))
                #expect(try numbers(journal.path("a.jsonl")) == Array(0..<left) + [7])
                journal.close()
            }
        }
    }

    @Test("garbage behind the last good line is cut off, however long", arguments: [1, 300 << 10, 2 << 20])
    func garbage(count: Int) throws {
        try withFolder { folder in
            let journal = try Journal(folder: folder)
            try journal.append(line(1) + line(2), to: "a.jsonl")
            journal.close()
            let path = journal.path("a.jsonl")
            let good = bytes(path)
            try Data(good + [UInt8](repeating: 0, count: count)).write(to: URL(fileURLWithPath: path))
            #expect(try journal.append(line(3), to: "a.jsonl") == Journal.Cut(file: "a.jsonl", bytes: count))
            #expect(try numbers(path) == [1, 2, 3])
        }
    }

    @Test(
        "any call that fails leaves what was there, and the next try goes on",
        arguments: [FaultyFiles.Fault.full, .readOnly])
    func failures(fault: FaultyFiles.Fault) throws {
        for failing in 0..<12 {
            try withFolder { folder in
                let files = FaultyFiles()
                let journal = try Journal(folder: folder, files: files)
                try journal.append(line(1), to: "a.jsonl")
                files.fail(at: failing, with: fault)
                var expected = [1]
                for number in 2..<8 {
                    do throws(StorageFault) {
                        try journal.append(line(number) + line(10 * number), to: "a.jsonl")
                        expected += [number, 10 * number]
                    } catch {
                        #expect(error.isFull == (fault == .full))
                    }
                }
                #expect(try numbers(journal.path("a.jsonl")) == expected)
                #expect(expected.count >= 11)
            }
        }
    }

    @Test("a disk that takes nothing leaves the file untouched")
    func untouched() throws {
        try withFolder { folder in
            let files = FaultyFiles()
            let journal = try Journal(folder: folder, files: files)
            try journal.append(line(1), to: "a.jsonl")
            let before = try files.status(path: journal.path("a.jsonl"))
            for _ in 0..<3 {
                // The first call is the write, and of one byte nothing is taken.
                files.fail(at: 0, with: .full)
                #expect(throws: StorageFault.self) { try journal.append([0x0A], to: "a.jsonl") }
                #expect(files.calls == 1)
                #expect(try files.status(path: journal.path("a.jsonl")) == before)
            }
            try journal.append(line(2), to: "a.jsonl")
            #expect(try numbers(journal.path("a.jsonl")) == [1, 2])
        }
    }

    @Test("after a death at any call the lines are there whole or not at all, and those that counted are")
    func deaths() throws {
        for failing in 0..<20 {
            try withFolder { folder in
                let files = FaultyFiles()
                files.fail(at: failing, with: .death)
                var counted: [Int] = []
                do throws(StorageFault) {
                    let journal = try Journal(folder: folder, files: files)
                    for number in 1..<8 {
                        try journal.append(line(number), to: number < 4 ? "a.jsonl" : "b.jsonl")
                        counted.append(number)
                    }
                } catch {}
                let journal = try Journal(folder: folder)
                try journal.append(line(100), to: "b.jsonl")
                let found = try ["a.jsonl", "b.jsonl"].filter(journal.contains).flatMap {
                    try numbers(journal.path($0))
                }
                #expect(found.starts(with: counted))
                #expect(found.dropFirst(counted.count).dropLast().count <= 1)
                #expect(found.last == 100)
            }
        }
    }

    @Test("a file that was moved away is made anew")
    func moved() throws {
        try withFolder { folder in
            let journal = try Journal(folder: folder)
            try journal.append(line(1), to: "a.jsonl")
            try FileManager.default.moveItem(atPath: journal.path("a.jsonl"), toPath: folder + "/old")
            try journal.append(line(2), to: "a.jsonl")
            #expect(try numbers(journal.path("a.jsonl")) == [2])
            #expect(try numbers(folder + "/old") == [1])
        }
    }

    @Test("lines come backward in order, across blocks, bad ones left out")
    func backward() throws {
        try withFolder { folder in
            let journal = try Journal(folder: folder)
            let count = 12_000
            try journal.append((0..<count).flatMap(line), to: "a.jsonl")
            var text = bytes(journal.path("a.jsonl"))
            text[5] = 0x39
            try Data(text + Array("{torn".utf8)).write(to: URL(fileURLWithPath: journal.path("a.jsonl")))
            var next = count - 1
            try journal.readBackward("a.jsonl") { found in
                #expect(Array(found) == line(next).dropLast())
                next -= 1
                return true
            }
            #expect(next == 0)
        }
    }

    @Test("files and folder are their owner's alone")
    func modes() throws {
        try withFolder { folder in
            let journal = try Journal(folder: folder + "/ledger")
            try journal.append(line(1), to: "a.jsonl")
            func mode(_ path: String) throws -> Int {
                try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as! Int
            }
            #expect(try mode(folder + "/ledger") == 0o700)
            #expect(try mode(folder + "/ledger/a.jsonl") == 0o600)
        }
    }
}
