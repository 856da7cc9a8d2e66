import Testing

@testable import Tenancy

@Suite struct JSONTests {
    @Test(
        "what is not JSON, or can be read two ways, is refused",
        arguments: [
            "", " ", "{", "}", "[", "]", "{}x", "{} {}", "[1,]", "{\"a\":1,}", "{,}", "[,]", "{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}",
            "01", "+1", "-", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "1e999", "tru", "True", "nul", "\"", "\"\\\"", "\"\\x\"",
            "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "\"\u{1}\"", "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}", "{\"x\":{\"a\":1,\"a\":1}}", "\u{FEFF}{}", "/**/{}", "{}//", "{\"a\":1 \"b\":2}", "[1 2]",
        ])
    func refused(_ text: String) { #expect(throws: JSONReader.Fault.self) { try JSONReader.read(Array(text.utf8)) } }

    @Test("bytes that are not UTF-8 are refused", arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]] as [[UInt8]])
    func invalid(_ bytes: [UInt8]) { #expect(throws: JSONReader.Fault.self) { try JSONReader.read(bytes) } }

    @Test("depth and number of values are bounded")
    func bounds() throws {
        func nested(_ depth: Int) -> [UInt8] { Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8) }
        _ = try JSONReader.read(nested(16))
        #expect(throws: JSONReader.Fault.tooDeep) { try JSONReader.read(nested(17)) }
        #expect(throws: JSONReader.Fault.self) { try JSONReader.read(nested(1_000_000)) }
        let many = "[" + String(repeating: "1,", count: 5000) + "1]"
        #expect(throws: JSONReader.Fault.tooLarge) { try JSONReader.read(Array(many.utf8)) }
    }

    @Test("values are what they say")
    func values() throws {
        let text = " { \"a\" : [ 1 , -2.5e1, true, false, null ], \"\\u0062\\n\" : \"\\ud83d\\ude00\\/\" } "
        let object = try #require(try JSONReader.read(Array(text.utf8)).object)
        #expect(object["a"] == .array([.integer(1), .number(-25), .bool(true), .bool(false), .null]))
        #expect(object["b\n"] == .string(Array("😀/".utf8)))
        #expect(try JSONReader.read(Array("9223372036854775808".utf8)) == .number(9223372036854775808))
        // Two names that a reader of Unicode takes for one are two here.
        _ = try JSONReader.read(Array("{\"\u{e9}\":1,\"e\u{301}\":2}".utf8))
    }

    @Test("base64url has one spelling for each value")
    func base64() {
        func decode(_ text: String) -> [UInt8]? { Base64URL.decode(Array(text.utf8)) }
        #expect(decode("") == [])
        #expect(decode("AA") == [0])
        #expect(decode("_-8") == [0xFF, 0xEF])
        for text in ["A", "AB", "AAB", "AA==", "AA=", "+/8", "AA ", " AA", "A\nA", "AAAAA", "é"] { #expect(decode(text) == nil) }
    }
}
