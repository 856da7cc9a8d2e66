import Testing

@testable import Tenancy

@Suite struct Base64Tests {
    @Test("base64url has one spelling for each value")
    func base64() {
        func decode(_ text: String) -> [UInt8]? { Base64URL.decode(Array(text.utf8)) }
        #expect(decode("") == [])
        #expect(decode("AA") == [0])
        #expect(decode("_-8") == [0xFF, 0xEF])
        for text in ["A", "AB", "AAB", "AA==", "AA=", "+/8", "AA ", " AA", "A\nA", "AAAAA", "é"] { #expect(decode(text) == nil) }
    }
}
