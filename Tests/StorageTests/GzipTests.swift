import Foundation
import Storage
import TestSupport
import Testing

@Suite("gzip")
struct GzipTests {
    /// What `gzip -level` makes of it.
    private func compressed(_ content: [UInt8], level: Int = 6, in folder: String) throws -> String {
        let plain = folder + "/plain"
        try Data(content).write(to: URL(fileURLWithPath: plain))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/gzip")
        process.arguments = ["-f", "-k", "-\(level)", plain]
        try process.run()
        process.waitUntilExit()
        return plain + ".gz"
    }

    private func unpacked(_ path: String) throws -> [UInt8] {
        var all: [UInt8] = []
        try JournalReader().unpacked(path) { piece in
            all += piece
            return true
        }
        return all
    }

    private static func noise(_ count: Int, alphabet: Int, seed: UInt64) -> [UInt8] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8((state >> 33) % UInt64(alphabet))
        }
    }

    @Test(
        "what gzip made is read: empty, short, long, of few and of all bytes, at every level",
        arguments: [0, 1, 5, 70_000, 1 << 20], [1, 2, 60, 256])
    func reads(count: Int, alphabet: Int) throws {
        try withFolder { folder in
            let content = Self.noise(count, alphabet: alphabet, seed: UInt64(count + alphabet))
            for level in [1, 6, 9] {
                let path = try compressed(content, level: level, in: folder)
                let read = try unpacked(path)
                #expect(read == content)
            }
        }
    }

    @Test("lines come whole, wherever a piece ends")
    func lines() throws {
        try withFolder { folder in
            let content = (0..<20_000).flatMap { line($0) }
            let path = try compressed(content, in: folder)
            #expect(try numbers(path) == Array(0..<20_000))
            // Files behind one another are one.
            let twice = folder + "/twice.gz"
            try Data(bytes(path) + bytes(path)).write(to: URL(fileURLWithPath: twice))
            #expect(try numbers(twice).count == 40_000)
        }
    }

    @Test("cut at any byte, or with any byte changed, it is an error, or the same, and never a trap")
    func damage() throws {
        try withFolder { folder in
            let content = (0..<40).flatMap { line($0) }
            let whole = bytes(try compressed(content, in: folder))
            let path = folder + "/damaged.gz"
            for cut in 0..<whole.count {
                try Data(whole[..<cut]).write(to: URL(fileURLWithPath: path))
                let read = try? unpacked(path)
                #expect(read == nil || cut == 0 && read == [], "cut at \(cut)")
            }
            for place in whole.indices {
                for mask in [UInt8(1), 0x10, 0x80, 0xFF] {
                    var changed = whole
                    changed[place] ^= mask
                    try Data(changed).write(to: URL(fileURLWithPath: path))
                    // Time and system in the head say nothing of the content.
                    let read = try? unpacked(path)
                    #expect(read == nil || read == content, "byte \(place) ^ \(mask)")
                }
            }
        }
    }

    @Test("a program that is not there, or that fails, is an error")
    func tools() throws {
        try withFolder { folder in
            let content = (0..<1000).flatMap { line($0) }
            let files = DiskFiles()
            func run(_ tool: GzipTool) throws -> [UInt8] {
                try Data(content).write(to: URL(fileURLWithPath: folder + "/plain"))
                try files.remove(folder + "/out.gz")
                let input = try files.open(folder + "/plain", writing: false)
                defer { files.close(input) }
                let output = try files.open(folder + "/out.gz", writing: true)
                defer { files.close(output) }
                try tool.compress(input, into: output)
                return try unpacked(folder + "/out.gz")
            }
            let read = try run(GzipTool())
            #expect(read == content)
            #expect(throws: StorageFault.self) { try run(GzipTool("no-such-program")) }
            #expect(throws: StorageFault.self) { try run(GzipTool("false")) }
            // Ends well and says nothing of it: it is read back for that.
            let nothing = try run(GzipTool("true"))
            #expect(nothing == [])
        }
    }
}
