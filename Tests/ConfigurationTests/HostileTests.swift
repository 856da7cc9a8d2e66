import Configuration
import Foundation
import TestSupport
import Testing

/// What a load must bear: nothing traps, and twice the bytes take no more than about twice the time.
@Suite struct HostileTests {
    /// An unoptimised build is fifty times slower: it looks for traps, the optimised one for time as well.
    #if DEBUG
        private static let floodSize = 32 << 10
        private static let mutationRounds = 100
    #else
        private static let floodSize = 4 << 20
        private static let mutationRounds = 500
    #endif

    @Test(
        "large and senseless files are refused quickly",
        arguments: [
            ("open braces", "{"), ("close braces", "}"), ("blocks", "a{"), ("placeholders", "{a}"),
            ("half placeholders", "{a"),
            ("quotes", "\""), ("quoted words", "\"a\" "), ("backslashes", "\"\\"), ("semicolons", ";"), ("words", "a "),
            ("one word", "a"), ("NUL", "\0"), ("escape codes", "\u{1B}[31m"), ("two-byte characters", "é"),
            ("no-break spaces", "\u{A0}"), ("line ends", "\n"), ("comments", "#\n"), ("statements", "listen 80;"),
            ("broken lines", "set \"a;\n"), ("includes", "include x;"), ("equals signs", "access_log a=b=c=d;"),
        ])
    func floods(_ name: String, _ piece: String) {
        var bytes: [UInt8] = []
        while bytes.count < Self.floodSize { bytes += piece.utf8 }
        for prefix in [
            "", "tenant ", "listen 80; upstream a { server ", "trusted_proxies ", "tenant a { host ", "# é\n\"",
        ] {
            let loaded = load(Array(prefix.utf8) + bytes)
            #expect(loaded.diagnostics.count <= 1000)
            #expect(loaded.renderAll().utf8.count < 4 << 20)
        }
    }

    @Test("no mutation of a configuration traps", arguments: 1...8)
    func mutations(_ seed: Int) throws {
        var random = SeededGenerator(state: UInt64(seed))
        let contract = try [UInt8](Data(contentsOf: casesFolder.appendingPathComponent("contract.conf")))
        let originals = [contract] + GoldenCase.all.map { Array($0.input.utf8) }
        let interesting: [UInt8] = Array("{};\"\\#=\n\r\t *.:/[]-0 9".utf8) + [0, 0x7F, 0x80, 0xC3, 0xE2, 0xEF, 0xFF]
        for round in 0..<Self.mutationRounds {
            var bytes = round % 4 == 0 ? contract : originals.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...8, using: &random) where !bytes.isEmpty {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                let end = min(bytes.count, at + Int.random(in: 0...20, using: &random))
                switch Int.random(in: 0..<6, using: &random) {
                case 0: bytes[at] = interesting.randomElement(using: &random) ?? 0
                case 1: bytes.insert(interesting.randomElement(using: &random) ?? 0, at: at)
                case 2: bytes.removeSubrange(at..<end)
                case 3: bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &random))
                case 4: bytes.removeLast(bytes.count - at)
                default: bytes[at] = UInt8.random(in: 0...255, using: &random)
                }
            }
            let files = ["gateway.conf": bytes, "tenants/a.conf": contract, "a.conf": bytes]
            for allow in [true, false] {
                let loaded = ConfigurationLoader.load("gateway.conf", from: source(files), allowUnsupported: allow)
                #expect((loaded.settings == nil) == loaded.diagnostics.contains { $0.severity == .error })
                _ = loaded.renderAll()
            }
        }
    }

    @Test("a configuration is read the same way twice")
    func repeatable() throws {
        for golden in GoldenCase.all { #expect(golden.outcome == golden.outcome) }
    }
}
