import Base
import Foundation
import TestSupport
import Testing

@Suite("JSON text")
struct JSONTests {
    private func escaped(_ bytes: [UInt8], room: Int = 4096) -> (text: [UInt8], overflowed: Bool) {
        let region = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        defer { region.deallocate() }
        var writer = ByteWriter(region)
        bytes.withUnsafeBytes { writer.append(jsonString: $0) }
        return (Array(writer.written), writer.overflowed)
    }

    @Test(
        "what JSON does not allow is escaped, and what is not UTF-8 is replaced",
        arguments: [
            ("", #""""#),
            ("plain", #""plain""#),
            ("exactly8", #""exactly8""#),
            ("nine nine", #""nine nine""#),
            ("a\"b\\c/d", #""a\"b\\c/d""#),
            ("\u{8}\t\n\u{C}\r", #""\b\t\n\f\r""#),
            ("\0\u{1F}\u{7F}", #""\u0000\u001f\u007f""#),
            ("C1 \u{80}\u{9B}\u{9F}\u{A0}", "\"C1 \\u0080\\u009b\\u009f\u{A0}\""),
            ("é€😀 \u{2028}", "\"é€😀 \u{2028}\""),
        ])
    func escapes(_ text: String, _ expected: String) {
        #expect(String(decoding: escaped(Array(text.utf8)).text, as: UTF8.self) == expected)
    }

    @Test(
        "each longest start of a broken sequence becomes one U+FFFD",
        arguments: [
            [0x80], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFF, 0xFE], [0xC2], [0xE2, 0x82],
            [0xF0, 0x9F, 0x98], [0x61, 0xE2, 0x82, 0x62], [0xF0, 0x9F, 0x41, 0xF0, 0x9F, 0x98, 0x80],
        ] as [[UInt8]])
    func replaces(_ bytes: [UInt8]) {
        // Swift's own decoder follows the same recommendation of the Unicode standard.
        let expected = "\"" + String(decoding: bytes, as: UTF8.self) + "\""
        #expect(String(decoding: escaped(bytes).text, as: UTF8.self) == expected)
    }

    @Test("any bytes give JSON that a strict parser reads back to what Swift decodes")
    func roundTrip() throws {
        var random = SeededGenerator(state: 7)
        let interesting: [UInt8] = [0x22, 0x5C, 0x7F, 0x1F, 0x20, 0x80, 0xBF, 0xC2, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0xED, 0]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                Int.random(in: 0..<3, using: &random) > 0
                    ? UInt8.random(in: 0...255, using: &random) : interesting.randomElement(using: &random) ?? 0
            }
            let text = escaped(bytes).text
            let parsed = try JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed) as? String
            // Compared by bytes: Swift takes two spellings of a character for equal.
            #expect(parsed.map { Array($0.utf8) } == Array(String(decoding: bytes, as: UTF8.self).utf8))
        }
    }

    @Test("what does not fit is left out and said, at every size of the room")
    func overflow() {
        let bytes = Array("plain text \"quoted\" and \u{1} and é, long enough for words".utf8)
        let whole = escaped(bytes)
        #expect(!whole.overflowed)
        for room in 1..<whole.text.count { #expect(escaped(bytes, room: room).overflowed, "room for \(room)") }
        #expect(escaped(bytes, room: whole.text.count).text == whole.text)
        #expect(!escaped(bytes, room: whole.text.count).overflowed)
    }

    @Test("a writer cut back takes new text where it was cut")
    func truncate() {
        withUnsafeTemporaryAllocation(byteCount: 4, alignment: 1) { region in
            var writer = ByteWriter(region)
            writer.append("ab")
            writer.append("cde")
            #expect(writer.overflowed)
            writer.truncate(to: 1)
            writer.append("xyz")
            #expect(!writer.overflowed)
            #expect(Array(writer.written) == Array("axyz".utf8))
        }
    }

    @Test("commas and colons come by themselves, empty and nested things included")
    func structure() {
        var json = JSONWriter()
        json.object { json in
            json.member("a", 1)
            json.member("b", "x\"{[:,")
            json.member("c", nil as String?)
            json.member("d") { $0.array { json in
                json.object { _ in }
                json.array { _ in }
                json.value(true)
                json.value(UInt64.max)
                json.value(Int.min)
                json.value("")
            } }
            json.member("", [])
            json.member("e", ["f", "g"])
            json.member("h", false)
        }
        #expect(
            String(decoding: json.bytes, as: UTF8.self) == """
                {"a":1,"b":"x\\"{[:,","c":null,"d":[{},[],true,18446744073709551615,-9223372036854775808,""],\
                "":[],"e":["f","g"],"h":false}
                """)
    }
}
