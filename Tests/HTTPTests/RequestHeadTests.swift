import Testing

@testable import HTTP

@Suite("Request heads")
struct RequestHeadTests {
    private let host = "Host: acme.example.test\r\n"

    private func read(_ text: String) throws -> Reading {
        var head = RequestHead(maxFields: 100)
        let bytes = Array(text.utf8)
        try #require(feed(&head, bytes) == .complete)
        return Reading(head, bytes)
    }

    private func flaw(_ text: String, limits: ParseLimits = testLimits) -> Flaw? {
        var head = RequestHead(maxFields: 100)
        guard case .refused(let fault) = feed(&head, Array(text.utf8), limits: limits) else { return nil }
        return fault.flaw
    }

    @Test("ranges say where things stand")
    func ranges() throws {
        let reading = try read("PATCH /a/b?c=d HTTP/1.1\r\n\(host)X-A:  b c \r\n\r\nrest")
        #expect(reading.method == "PATCH" && reading.target == "/a/b?c=d" && reading.path == "/a/b")
        #expect(reading.host == "acme.example.test" && reading.hostHeader == "acme.example.test")
        #expect(reading.fields[1].name == "X-A" && reading.fields[1].value == Array("b c".utf8))
        #expect(reading.length == 64 && reading.version == .http11 && reading.framing == .none && reading.keepAlive)
    }

    @Test(
        "an absolute target is forwarded as its path",
        arguments: [
            ("http://acme.example.test/a?b", "/a?b", "/a"), ("http://acme.example.test", "/", "/"),
            ("HTTPS://ACME.example.test/", "/", "/"), ("http://acme.example.test//x", "//x", "//x"),
        ])
    func absolute(_ sent: String, _ target: String, _ path: String) throws {
        let reading = try read("GET \(sent) HTTP/1.1\r\n\(host)\r\n")
        #expect(reading.target == target && reading.path == path)
    }

    @Test(
        "the port and the brackets are no part of the host",
        arguments: [
            ("acme.example.test:8443", "acme.example.test"), ("[::1]:80", "::1"), ("[2001:db8::1]", "2001:db8::1"),
            ("a", "a"), ("a:1", "a"), ("abcdefgh", "abcdefgh"), ("abcdefgh:65535", "abcdefgh"),
            ("abcdefg.", "abcdefg."),
            ("1234567.abcdefgh.x", "1234567.abcdefgh.x"), ("my_app-1.x", "my_app-1.x"),
        ])
    func hosts(_ sent: String, _ host: String) throws {
        let reading = try read("GET / HTTP/1.1\r\nHost: \(sent)\r\n\r\n")
        #expect(reading.host == host && reading.hostHeader == sent)
    }

    @Test("every byte but letters, digits, hyphen, underscore and dot is refused in a host, wherever it stands")
    func hostBytes() {
        for length in [1, 2, 7, 8, 9, 15, 16, 17, 23] {
            for at in 0..<length {
                for byte in UInt8(0x21)...0xFF {
                    var name = [UInt8](repeating: 0x61, count: length)
                    name[at] = byte
                    let scalar = Unicode.Scalar(byte)
                    let isLetter = scalar.isASCII && scalar.properties.isAlphabetic
                    let isGood = isLetter || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x5F
                    let isDot = byte == 0x2E && at > 0
                    let isEmptyPort = byte == 0x3A && at > 0 && at == length - 1
                    let bytes = Array("GET / HTTP/1.1\r\nHost: ".utf8) + name + Array("\r\n\r\n".utf8)
                    var head = RequestHead(maxFields: 10)
                    #expect((feed(&head, bytes) == .complete) == (isGood || isDot || isEmptyPort), "\(byte) at \(at) of \(length)")
                }
            }
        }
    }

    @Test("two dots are refused wherever they stand")
    func hostDots() {
        for length in 2..<20 {
            for at in 1..<length {
                var name = [UInt8](repeating: 0x61, count: length)
                (name[at - 1], name[at]) = (0x2E, 0x2E)
                #expect(flaw("GET / HTTP/1.1\r\nHost: \(String(decoding: name, as: UTF8.self))\r\n\r\n") == .hostSyntax)
            }
        }
    }

    @Test("every control byte is found in a value, wherever it stands, and nothing else is")
    func valueBytes() {
        for length in [1, 7, 8, 9, 15, 16, 17, 31, 33] {
            for at in 0..<length {
                for byte in [UInt8(0), 1, 8, 9, 0x0B, 0x0C, 0x1F, 0x20, 0x21, 0x7E, 0x7F, 0x80, 0x9F, 0xA0, 0xFF] {
                    var value = [UInt8](repeating: 0x61, count: length)
                    value[at] = byte
                    for behind in [[UInt8](), Array(repeating: 0xFF, count: 3)] {
                        let bytes = Array("GET / HTTP/1.1\r\n\(host)A: ".utf8) + value + behind + Array("\r\n\r\n".utf8)
                        var head = RequestHead(maxFields: 10)
                        let isGood = byte >= 0x20 && byte != 0x7F || byte == 9
                        #expect((feed(&head, bytes) == .complete) == isGood, "\(byte) at \(at) of \(length)")
                    }
                }
            }
        }
    }

    @Test("every byte that is no token byte is found in a name, wherever it stands")
    func nameBytes() {
        let token = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        for length in [1, 2, 7, 8, 9, 15, 16, 17] {
            for at in 0..<length {
                for byte in UInt8.min...UInt8.max where byte != 0x3A {
                    var name = [UInt8](repeating: 0x7A, count: length)
                    name[at] = byte
                    let bytes = Array("GET / HTTP/1.1\r\n\(host)".utf8) + name + Array(": b\r\n\r\n".utf8)
                    var head = RequestHead(maxFields: 10)
                    #expect((feed(&head, bytes) == .complete) == token.contains(byte), "\(byte) at \(at) of \(length)")
                }
            }
        }
    }

    @Test("every byte but visible ASCII, and the number sign, is refused in a target, wherever it stands")
    func targetBytes() {
        for length in [1, 7, 8, 9, 16] {
            for at in 0..<length {
                for byte in UInt8.min...UInt8.max where byte != 0x20 {
                    var target = [UInt8](repeating: 0x61, count: length)
                    target[at] = byte
                    let bytes = Array("GET /".utf8) + target + Array(" HTTP/1.1\r\n\(host)\r\n".utf8)
                    var head = RequestHead(maxFields: 10)
                    let isGood = byte > 0x20 && byte < 0x7F && byte != 0x23
                    #expect((feed(&head, bytes) == .complete) == isGood, "\(byte) at \(at) of \(length)")
                }
            }
        }
    }

    @Test("Connection marks what it names, and has no power over what the gateway decides by")
    func connection() throws {
        let protected = [
            "Host", "Content-Length", "Authorization", "X-API-Key", "X-Forwarded-For", "X_Forwarded_For", "X-Tenant-Id",
            "Forwarded", "Via", "X-Request-Id", "traceparent", "Expect", "Cookie", "X-Forwarded-Anything",
        ]
        let lines = protected.dropFirst(2).filter { $0 != "Expect" }.map { "\($0): 1\r\n" }.joined()
        let reading = try read(
            "POST / HTTP/1.1\r\n\(host)Content-Length: 0\r\nConnection: \(protected.joined(separator: ", ")), x-a,Accept\r\n"
                + "Connection: X-C\r\n\(lines)X-A: 1\r\nx-a: 2\r\nX-B: 3\r\nX-C: 4\r\nAccept: 5\r\n\r\n")
        let dropped = reading.fields.filter { $0.isHopByHop && $0.name != "Connection" }.map(\.name)
        #expect(dropped == ["X-A", "x-a", "X-C", "Accept"])
    }

    @Test(
        "persistence is that of RFC 9112 section 9.3",
        arguments: [
            ("1.1", "", true), ("1.1", "Connection: close\r\n", false), ("1.1", "Connection: Close, x\r\n", false),
            ("1.1", "Connection: keep-alive\r\n", true), ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
            ("1.1", "Connection: x\r\nConnection: close\r\n", false),
            ("1.0", "Proxy-Connection: keep-alive\r\n", false), ("1.1", "Connection: closed\r\n", true),
            ("1.1", "Connection: clos\r\n", true), ("1.0", "Connection: keep_alive\r\n", false),
        ])
    func keepAlive(_ version: String, _ field: String, _ expected: Bool) throws {
        #expect(try read("GET / HTTP/\(version)\r\n\(host)\(field)\r\n").keepAlive == expected)
    }

    @Test(
        "an upgrade is wanted only where it can be had",
        arguments: [
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true),
            ("GET", "1.1", "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n", true),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: a/1, b\r\n", true),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", true),
            ("POST", "1.1", "Connection: Upgrade\r\nUpgrade: tcp\r\n", true),
            ("PURGE", "1.1", "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n", true),
            ("GET", "1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false),
            ("GET", "1.1", "Upgrade: websocket\r\n", false), ("GET", "1.1", "Connection: Upgrade\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: \(String(repeating: "x", count: 256))\r\n", true),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: \(String(repeating: "x", count: 257))\r\n", false),
            // The switch comes behind the body, if there is one.
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", true),
            ("POST", "1.1", "Connection: Upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n", true),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade:\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: web socket\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket,\r\n", false),
            ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: a//b\r\n", false),
        ])
    func upgrade(_ method: String, _ version: String, _ fields: String, _ expected: Bool) throws {
        #expect(try read("\(method) / HTTP/\(version)\r\n\(host)\(fields)\r\n").wantsUpgrade == expected)
    }

    @Test(
        "a server switches to nothing but what it was asked for",
        arguments: [
            ("websocket", "websocket", true), ("WebSocket", "websocket", true), ("b", "a, b", true), ("b, a", "a,b", true),
            ("a/1", "a/1, b", true), ("a", "a/1", true), ("a/1", "a", true), ("a/2", "a/1", false), ("a/2", "a/1, a/2", true),
            ("", "websocket", false), (",", "websocket", false), ("websocket,", "websocket", false), ("web", "websocket", false),
            ("websockets", "websocket", false), ("h2c", "websocket", false), ("a, c", "a, b", false), ("/1", "a/1", false),
            ("websocket", "", false), ("", "", false), ("a b", "a b", false),
        ])
    func switching(_ answer: String, _ request: String, _ expected: Bool) {
        let (answer, request) = (Array(answer.utf8), Array(request.utf8))
        let result = answer.withUnsafeBytes { answer in request.withUnsafeBytes { Upgrade.names(answer, outOf: $0) } }
        #expect(result == expected)
    }

    @Test(
        "a client waits for 100 only when it has a body to send",
        arguments: [
            ("1.1", "Content-Length: 5\r\n", true), ("1.1", "Transfer-Encoding: chunked\r\n", true),
            ("1.1", "Content-Length: 0\r\n", false), ("1.1", "", false), ("1.0", "Content-Length: 5\r\n", false),
        ])
    func expectation(_ version: String, _ field: String, _ expected: Bool) throws {
        let text = "POST / HTTP/\(version)\r\n\(host)Expect: 100-continue\r\n\(field)\r\n"
        #expect(try read(text).expectsContinue == expected)
    }

    @Test("nothing of one request is left for the next")
    func reuse() {
        var head = RequestHead(maxFields: 100)
        let first = Array(
            ("GET /a?b HTTP/1.0\r\n\(host)Connection: keep-alive, upgrade, x\r\nX: y\r\nExpect: 100-continue\r\n"
                + "Content-Length: 5\r\n\r\n").utf8)
        let second = Array("GET / HTTP/1.1\r\n\(host)X: y\r\n\r\n".utf8)
        #expect(feed(&head, first) == .complete)
        #expect(feed(&head, second) == .complete)
        var fresh = RequestHead(maxFields: 100)
        #expect(feed(&fresh, second) == .complete)
        #expect(Reading(head, second) == Reading(fresh, second))
    }

    @Test("a head of exactly the limit is accepted, and one byte more is not")
    func sizeLimit() {
        let text = "GET / HTTP/1.1\r\n\(host)\r\n"
        #expect(flaw(text, limits: ParseLimits(maxHeadSize: text.utf8.count, maxFields: 10)) == nil)
        #expect(flaw(text, limits: ParseLimits(maxHeadSize: text.utf8.count - 1, maxFields: 10)) == .headTooLarge)
        #expect(flaw(text, limits: ParseLimits(maxHeadSize: 15, maxFields: 10)) == .requestLineTooLong)
        #expect(flaw(text, limits: ParseLimits(maxHeadSize: 16, maxFields: 10)) == .headTooLarge)
    }

    @Test("as many fields as the limit are accepted, and one more is not")
    func fieldLimit() {
        let text = "GET / HTTP/1.1\r\n\(host)A: b\r\nC: d\r\n\r\n"
        #expect(flaw(text, limits: ParseLimits(maxHeadSize: 1000, maxFields: 3)) == nil)
        #expect(flaw(text, limits: ParseLimits(maxHeadSize: 1000, maxFields: 2)) == .tooManyFields)
        #expect(flaw(text, limits: ParseLimits(maxHeadSize: 1000, maxFields: 1000)) == nil)
    }

    @Test("what can't become a request is refused before its line ends")
    func early() {
        for text in ["\u{16}", "\0", " ", "\r\r", "\r\n\r", "\r\n ", "GE(", "{", "GET\t", "\n"] {
            #expect(flaw(text) != nil, "\(Array(text.utf8))")
        }
        for text in ["G", "\r", "\r\n", "\r\nG", "GET", "GET ", "GET \u{1}", "GET / HTTP/1.1\r"] {
            #expect(flaw(text) == nil, "\(Array(text.utf8))")
        }
    }

    @Test("bytes that were looked at are not looked at again")
    func scanned() {
        var head = RequestHead(maxFields: 10)
        var scanned = 0
        let text = Array("GET / HTTP/1.1\r\n\(host)A: b\r\n\r\n".utf8)
        for end in 1..<text.count {
            #expect(parse(&head, Array(text[..<end]), &scanned, testLimits) == .incomplete)
            #expect(scanned == end)
        }
        #expect(parse(&head, text, &scanned, testLimits) == .complete)
        #expect(scanned == text.count)
    }

    @Test("every flaw has a status that the gateway answers with, and a reason")
    func flaws() {
        for flaw in Flaw.allCases {
            #expect([400, 405, 414, 417, 431, 501, 505].contains(flaw.status))
            #expect(HTTPFault.request(flaw).status == flaw.status && HTTPFault.response(flaw).status == 502)
            #expect(flaw.reason.utf8CodeUnitCount > 0)
        }
    }
}
