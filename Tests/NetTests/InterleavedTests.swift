import Net
import Testing

@Suite struct InterleavedTests {
    @Test(
        "families in turns, beginning with that of the first, each in its order (RFC 8305 section 4)",
        arguments: [
            ("", ""), ("a", "a"), ("abc", "abc"), ("123", "123"), ("ab12", "a1b2"), ("12ab", "1a2b"), ("1abc", "1abc"),
            ("abc1", "a1bc"), ("a1b2", "a1b2"), ("aab12345", "a1a2b345"),
        ])
    func order(given: String, expected: String) {
        #expect(String(Array(given).interleaved { $0.isNumber }) == expected)
    }
}
