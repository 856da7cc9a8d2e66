import Testing

@testable import Crypto

/// RFC 7301 section 3: the server's order decides, and names are compared whole.
@Suite struct ProtocolNamesTests {
    private func list(_ names: String...) -> [UInt8] { names.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } }

    private func chosen(_ ours: [UInt8], _ theirs: [UInt8]) -> String? {
        ProtocolNames.first(of: ours, in: theirs).map { String(decoding: theirs[$0], as: UTF8.self) }
    }

    @Test func serverOrderDecides() {
        #expect(chosen(list("h2", "http/1.1"), list("http/1.1", "h2")) == "h2")
        #expect(chosen(list("http/1.1", "http/1.0"), list("http/1.0", "http/1.1")) == "http/1.1")
        #expect(chosen(list("http/1.1", "http/1.0"), list("spdy/3", "http/1.0")) == "http/1.0")
    }

    @Test func nothingInCommon() {
        #expect(chosen(list("http/1.1"), list("h2", "http/1.10", "http/1.", "HTTP/1.1")) == nil)
        #expect(chosen(list("http/1.1"), []) == nil)
        #expect(chosen([], list("http/1.1")) == nil)
    }

    @Test func aNameThatIsCutOffIsNone() {
        let whole = list("http/1.1")
        for count in 0..<whole.count { #expect(chosen(whole, Array(whole[..<count])) == nil) }
        #expect(chosen(list("http/1.1"), list("h2") + [200, 1, 2]) == nil)
        #expect(ProtocolNames.ranges(of: list("h2", "http/1.1") + [9, 65]) == [1..<3, 4..<12])
    }
}
