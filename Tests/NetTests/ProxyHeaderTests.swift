import Testing

@testable import Net

@Suite("PROXY headers") struct ProxyHeaderTests {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    static func ends(_ source: String, _ from: UInt16, _ destination: String, _ to: UInt16) -> ProxyHeader {
        ProxyHeader(
            ends: ProxyHeader.Ends(source: SocketAddress(source, port: from)!, destination: SocketAddress(destination, port: to)!))
    }

    static func second(_ command: UInt8, _ family: UInt8, _ body: [UInt8], length: Int? = nil) -> [UInt8] {
        let count = length ?? body.count
        return signature + [command, family, UInt8(count >> 8), UInt8(count & 0xFF)] + body
    }

    static let four: [UInt8] = [192, 0, 2, 1, 192, 0, 2, 2, 0xDC, 0x04, 0x01, 0xBB]
    static let six: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1] + [0x20, 0x01, 0x0D, 0xB8]
        + [UInt8](repeating: 0, count: 11) + [2] + [0x01, 0x02, 0x03, 0x04]

    static let whole: [([UInt8], ProxyHeader)] = [
        (Array("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".utf8), ends("192.0.2.1", 56324, "192.0.2.2", 443)),
        (Array("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".utf8), ends("255.255.255.255", 65535, "255.255.255.255", 65535)),
        (Array("PROXY TCP6 2001:db8::1 ::1 1 0\r\n".utf8), ends("2001:db8::1", 1, "::1", 0)),
        (Array("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".utf8), ends("192.0.2.1", 1, "::1", 2)),
        (Array("PROXY UNKNOWN\r\n".utf8), ProxyHeader(ends: nil)),
        (Array(("PROXY UNKNOWN ffff:f...f:ffff " + String(repeating: "x", count: 75) + "\r\n").utf8), ProxyHeader(ends: nil)),
        (second(0x21, 0x11, four), ends("192.0.2.1", 56324, "192.0.2.2", 443)),
        (second(0x21, 0x21, six), ends("2001:db8::1", 258, "2001:db8::2", 772)),
        // LOCAL, whatever stands behind it.
        (second(0x20, 0x00, []), ProxyHeader(ends: nil)), (second(0x20, 0x11, four), ProxyHeader(ends: nil)),
        (second(0x20, 0xFF, [1, 2, 3]), ProxyHeader(ends: nil)),
        // No address that we know of: UNSPEC, and a UNIX socket's.
        (second(0x21, 0x00, [9, 9]), ProxyHeader(ends: nil)),
        (second(0x21, 0x31, [UInt8](repeating: 0x61, count: 216)), ProxyHeader(ends: nil)),
    ]

    @Test("what is whole is read, whatever follows it, and nothing less is", arguments: 0..<whole.count)
    func reading(_ place: Int) {
        let (bytes, header) = Self.whole[place]
        let wanted = ProxyHeader.Outcome.complete(header, length: bytes.count)
        #expect(ProxyHeader.parse(bytes) == wanted)
        #expect(ProxyHeader.parse(bytes + Array("GET / HTTP/1.1\r\n".utf8)) == wanted)
        var wasWhole = false
        for count in 0..<bytes.count {
            switch ProxyHeader.parse(Array(bytes[..<count])) {
            case .incomplete: #expect(!wasWhole)
            // Of version 2 addresses are known before all that is skipped has come.
            case .complete(let early, let length):
                wasWhole = true
                #expect(early == header && length == bytes.count && bytes[0] == 0x0D)
            case .malformed: Issue.record("malformed after \(count) bytes")
            }
        }
    }

    @Test("extensions are skipped, as many as there are")
    func extensions() {
        let more = [UInt8](repeating: 0x04, count: 65535 - 12)
        let outcome = ProxyHeader.parse(Array(Self.second(0x21, 0x11, Self.four + more).prefix(ProxyHeader.lookMax)))
        #expect(outcome == .complete(Self.ends("192.0.2.1", 56324, "192.0.2.2", 443), length: 16 + 65535))
    }

    @Test(
        "what is not exactly one is none",
        arguments: [
            "GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY \r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
            "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP6 [::1] [::1] 1 2\r\n", "PROXY TCP6 ::1%lo ::1 1 2\r\n",
            "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\u{0}\r\n", "PROXY UNKNOWN \u{1}\r\n", "PROXY UNKNOWN \r\r\n",
            "\r\nGET / HTTP/1.1\r\n", "PROXY UNKNOWN " + String(repeating: "x", count: 100) + "\r\n",
        ])
    func malformed(_ text: String) { #expect(ProxyHeader.parse(Array(text.utf8)) == .malformed) }

    @Test("nor is anything else of version 2")
    func malformedSecond() {
        for command: UInt8 in [0x00, 0x01, 0x10, 0x11, 0x22, 0x2F, 0x30, 0x31, 0xFF] {
            #expect(ProxyHeader.parse(Self.second(command, 0x11, Self.four)) == .malformed)
            #expect(ProxyHeader.parse(Self.signature + [command]) == .malformed)
        }
        for family: UInt8 in [0x01, 0x10, 0x12, 0x13, 0x20, 0x22, 0x30, 0x32, 0x41, 0xFF] {
            #expect(ProxyHeader.parse(Self.second(0x21, family, Self.six)) == .malformed)
        }
        #expect(ProxyHeader.parse(Self.second(0x21, 0x11, [], length: 11)) == .malformed)
        #expect(ProxyHeader.parse(Self.second(0x21, 0x21, [], length: 35)) == .malformed)
    }

    @Test("what is written is read as the same", arguments: [ProxyHeader.Version.v1, .v2])
    func writing(_ version: ProxyHeader.Version) {
        for (_, header) in Self.whole {
            let bytes = header.bytes(version)
            #expect(ProxyHeader.parse(bytes) == .complete(header, length: bytes.count))
            #expect(bytes.count <= ProxyHeader.lookMax)
        }
        #expect(Self.ends("192.0.2.1", 1, "192.0.2.2", 2).bytes(.v1) == Array("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".utf8))
        #expect(Self.ends("192.0.2.1", 1, "::1", 2).bytes(.v1) == Array("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".utf8))
        #expect(ProxyHeader(ends: nil).bytes(.v1) == Array("PROXY UNKNOWN\r\n".utf8))
        #expect(ProxyHeader(ends: nil).bytes(.v2) == Self.second(0x20, 0x00, []))
        #expect(Self.ends("192.0.2.1", 56324, "192.0.2.2", 443).bytes(.v2) == Self.second(0x21, 0x11, Self.four))
    }
}
