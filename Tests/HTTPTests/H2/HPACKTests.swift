import Base
import Foundation
import Testing

@testable import HTTP

/// RFC 7541: its own examples, what is malformed, and whatever is encoded comes back.
@Suite struct HPACKTests {
    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.filter { !$0.isWhitespace }
        return stride(from: 0, to: digits.count, by: 2).map { at in
            let start = digits.index(digits.startIndex, offsetBy: at)
            return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)!
        }
    }

    /// The lines that a block decodes to.
    private func decode(_ block: [UInt8], _ decoder: inout HPACKDecoder, room: Int = 16 << 10) throws -> [String] {
        var lines: [String] = []
        var space = [UInt8](repeating: 0, count: room)
        try space.withUnsafeMutableBytes { space in
            var out = ByteWriter(space)
            try block.withUnsafeBytes { bytes in
                var block = HPACKDecoder.Block(bytes)
                while let field = try decoder.next(&block, to: &out) {
                    if out.overflowed {
                        lines.append("too large")
                        out.truncate(to: 0)
                        continue
                    }
                    let name = String(decoding: out.written[field.name], as: UTF8.self)
                    let value = String(decoding: out.written[field.value], as: UTF8.self)
                    lines.append("\(name): \(value)")
                }
            }
        }
        return lines
    }

    private func decode(_ hex: String, _ decoder: inout HPACKDecoder) throws -> [String] { try decode(Self.bytes(hex), &decoder) }

    @Test("C.3 and C.4: requests without and with Huffman")
    func requests() throws {
        for blocks in [
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ],
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ],
        ] {
            var decoder = HPACKDecoder()
            let first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"]
            #expect(try decode(blocks[0], &decoder) == first)
            #expect(try decode(blocks[1], &decoder) == first + ["cache-control: no-cache"])
            let last = [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"]
            #expect(try decode(blocks[2], &decoder) == last)
        }
    }

    @Test("C.5 and C.6: answers, with a table of 256 bytes that evicts")
    func answers() throws {
        for blocks in [
            [
                """
                4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d
                546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d
                """, "4803 3330 37c1 c0bf",
                """
                88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
                6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
                2076 6572 7369 6f6e 3d31
                """,
            ],
            [
                """
                4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
                8f0b 97c8 e9ae 82ae 43d3
                """, "4883 640e ffc1 c0bf",
                """
                88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
                dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07
                """,
            ],
        ] {
            var decoder = HPACKDecoder(tableSize: 256)
            let rest = ["cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"]
            #expect(try decode(blocks[0], &decoder) == [":status: 302"] + rest)
            #expect(try decode(blocks[1], &decoder) == [":status: 307"] + rest)
            #expect(
                try decode(blocks[2], &decoder) == [
                    ":status: 200", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:22 GMT",
                    "location: https://www.example.com", "content-encoding: gzip",
                    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
                ])
        }
    }

    @Test("what is malformed, each by its fault")
    func malformed() {
        for (hex, fault) in [
            ("80", HPACKFault.index), ("be", .index), ("ff 80 80 80 01", .integer), ("ff ff ff ff ff ff ff", .integer), ("ff", .cut), ("41", .cut),
            ("41 05 61", .cut), ("40 81 ff 00", .huffman),
            // The end symbol; eight bits of padding; padding of zeros.
            ("40 84 ff ff ff fc 00", .huffman), ("40 82 1f ff 00", .huffman), ("40 81 00 00", .huffman),
            ("3f e1 1f 3f e2 1f", .sizeUpdate), ("82 20", .sizeUpdate), ("00 7f ff ff ff ff", .integer), ("7e 01 61", .index),
        ] as [(String, HPACKFault)] {
            #expect(throws: fault, "\(hex)") {
                var decoder = HPACKDecoder()
                _ = try decode(hex, &decoder)
            }
        }
    }

    @Test("a table that is made smaller forgets; one that is larger than allowed is none")
    func sizes() throws {
        var decoder = HPACKDecoder()
        #expect(try decode("40 01 61 01 62", &decoder) == ["a: b"])
        #expect(try decode("be", &decoder) == ["a: b"])
        #expect(try decode("20 3f e1 1f 82", &decoder) == [":method: GET"])
        #expect(throws: HPACKFault.index) { try decode("be", &decoder) }
    }

    @Test("a field without room is decoded all the same, and the table is what the peer's is")
    func noRoom() throws {
        var decoder = HPACKDecoder()
        let long = [UInt8](repeating: 0x7A, count: 3000)
        // 3000 is 127 and 2873: f9 16.
        #expect(try decode([0x40, 1, 0x61, 0x7F, 0xB9, 0x16] + long, &decoder, room: 2000) == ["too large"])
        #expect(throws: HPACKFault.index) { try decode("be", &decoder) }
        #expect(try decode([0x40, 1, 0x61, 0x7F, 0xB9, 0x16] + long, &decoder).count == 1)
        #expect(try decode([0xBE], &decoder, room: 2000) == ["too large"])
        #expect(try decode([0xBE], &decoder)[0].utf8.count == 3003)
    }

    @Test("every byte and every length through Huffman and back")
    func huffman() {
        var room = [UInt8](repeating: 0, count: 4096)
        var back = [UInt8](repeating: 0, count: 4096)
        var text: [UInt8] = []
        for length in 0...300 {
            text = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ length) }
            let count = room.withUnsafeMutableBytes { room in
                var out = ByteWriter(room)
                text.withUnsafeBytes { Huffman.shared.encode($0, to: &out) }
                return out.count
            }
            #expect(text.withUnsafeBytes { Huffman.shared.encodedCount($0) } == count)
            let decoded: [UInt8]? = back.withUnsafeMutableBytes { back in
                var out = ByteWriter(back)
                let isWhole = room[..<count].withUnsafeBytes { Huffman.shared.decode($0, to: &out) }
                return isWhole ? Array(out.written) : nil
            }
            #expect(decoded == text)
        }
    }

    @Test("whatever is encoded comes back, block after block, while the peer's table changes")
    func roundTrip() throws {
        var random = SystemRandomNumberGenerator()
        var encoder = HPACKEncoder()
        var decoder = HPACKDecoder()
        let names = [":status", "server", "content-type", "x-request-id", "date", "x-a", "x-bb", "set-cookie", "etag"]
        for round in 0..<3000 {
            if round % 50 == 0 { encoder.take(peerTableSize: [0, 64, 200, 1024, 4096].randomElement(using: &random)!) }
            var fields: [(String, String)] = []
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                let length = Int.random(in: 0...10, using: &random) == 0 ? 600 : 12
                let value = String(repeating: "v", count: Int.random(in: 0...length, using: &random)) + "\(Int.random(in: 0...3, using: &random))"
                fields.append((names.randomElement(using: &random)!, value))
            }
            var room = [UInt8](repeating: 0, count: 8192)
            let count = room.withUnsafeMutableBytes { room in
                var out = ByteWriter(room)
                encoder.begin(&out)
                for (name, value) in fields {
                    Array(name.utf8).withUnsafeBytes { name in
                        Array(value.utf8).withUnsafeBytes { value in encoder.encode(name, value, isSecret: round % 7 == 0, to: &out) }
                    }
                }
                return out.count
            }
            #expect(try decode(Array(room[..<count]), &decoder) == fields.map { "\($0): \($1)" })
        }
    }

    @Test("what repeats takes a byte from the third time on; what is secret never stands in a table")
    func repeats() {
        var encoder = HPACKEncoder()
        func count(_ name: String, _ value: String, isSecret: Bool = false) -> Int {
            var room = [UInt8](repeating: 0, count: 512)
            return room.withUnsafeMutableBytes { room in
                var out = ByteWriter(room)
                Array(name.utf8).withUnsafeBytes { name in
                    Array(value.utf8).withUnsafeBytes { value in encoder.encode(name, value, isSecret: isSecret, to: &out) }
                }
                return out.count
            }
        }
        #expect((0..<3).map { _ in count("server", "gateway") }.last == 1)
        #expect(count(":status", "200") == 1)
        #expect((0..<4).map { _ in count("authorization", "Bearer x", isSecret: true) }.min()! > 1)
        // Nor is it told by an entry that stands in one for others.
        for (name, value) in [("server", "gateway"), (":status", "200")] { #expect(count(name, value, isSecret: true) > value.utf8.count) }
    }

    @Test("lines that were encoded before come back as they are, while the table forgets and is made smaller")
    func lines() throws {
        var encoder = HPACKEncoder()
        var decoder = HPACKDecoder()
        var random = SystemRandomNumberGenerator()
        var space = [UInt8](repeating: 0, count: 64 << 10)
        for round in 0..<2000 {
            if round % 97 == 0 { encoder.take(peerTableSize: [0, 100, 300, 4096].randomElement(using: &random)!) }
            // Few names and values, in any spelling, so that lines come again and again, and fall together.
            let fields = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                let name = ["Content-Type", "content-type", "X-A", "x-a", "X-B", "Cookie"].randomElement(using: &random)!
                let value = ["", "a", "A", "b: c", String(repeating: "v", count: .random(in: 1...90, using: &random))]
                return (name, [":", ": ", ":  "].randomElement(using: &random)!, value.randomElement(using: &random)!)
            }
            let text = fields.map { "\($0.0)\($0.1)\($0.2)\r\n" }.joined() + "Host: left.out\r\nTE: trailers\r\n"
            let block = space.withUnsafeMutableBytes { space in
                var out = ByteWriter(space)
                encoder.begin(&out)
                Array(text.utf8).withUnsafeBytes { encoder.encode($0, leavingOut: FieldSet(.host), areSecret: false, to: &out) }
                return Array(out.written)
            }
            let wanted = fields.map { "\($0.0.lowercased()): \($0.2)" }
            #expect(try decode(block, &decoder) == wanted)
        }
    }

    @Test("a line is a field's only where it says the same")
    func knownLines() {
        func same(_ line: String, _ name: String, _ value: String) -> Bool {
            Array(line.utf8).withUnsafeBytes { line in
                Array(name.utf8).withUnsafeBytes { name in Array(value.utf8).withUnsafeBytes { KnownLines.is(line, name, $0) } }
            }
        }
        #expect(same("X-Tenant: acme", "x-tenant", "acme"))
        #expect(same("x-tenant: ", "x-tenant", ""))
        for line in ["X-Tenant: acmf", "X-Tenanu: acme", "X-Tenant:acme", "X-Tenant:  acme", "X-Tenant: ACME", "X-Tenant", "", "X-Tenant; acme"] {
            #expect(!same(line, "x-tenant", "acme"))
        }
    }

    @Test("blocks of another implementation, with its tables, sizes and Huffman code")
    func others() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Corpus/hpack.txt")
        let text = try String(contentsOf: file, encoding: .utf8)
        var decoder = HPACKDecoder()
        var blocks = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) where !line.hasPrefix("#") {
            // Behind an empty line another connection begins.
            if line.isEmpty { decoder = HPACKDecoder() }
            let parts = line.split(separator: " ").map(String.init)
            guard parts.count == 2 else { continue }
            let said = parts[1] == "-" ? [] : parts[1].split(separator: ",", omittingEmptySubsequences: false).map { Self.bytes(String($0)) }
            let wanted = stride(from: 0, to: said.count, by: 2).map { place in
                String(decoding: said[place], as: UTF8.self) + ": " + String(decoding: said[place + 1], as: UTF8.self)
            }
            #expect(try decode(parts[0] == "-" ? [] : Self.bytes(parts[0]), &decoder) == wanted, "\(line)")
            blocks += 1
        }
        #expect(blocks > 150)
    }
}
