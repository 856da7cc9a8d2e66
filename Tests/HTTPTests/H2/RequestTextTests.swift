import Base
import TestSupport
import Testing

@testable import HTTP

/// RFC 9113 section 8: which field lists are requests, and what they would be in HTTP/1.1.
@Suite struct RequestTextTests {
    private enum Made: Equatable {
        case text(String)
        case malformed, tooLarge
    }

    private func made(_ fields: [(String, String)], sizeMax: Int = 4096) -> Made {
        var room = [UInt8](repeating: 0, count: 2 * sizeMax + HPACKDecoder.scratch)
        return room.withUnsafeMutableBytes { room in
            var out = ByteWriter(room)
            var text = RequestText(sizeMax: sizeMax)
            for (name, value) in fields {
                let start = out.count
                out.append(Array(name.utf8))
                out.append(": ")
                out.append(Array(value.utf8))
                let end = out.count
                out.append("\r\n")
                let colon = start + name.utf8.count
                text.take(
                    DecodedField(name: ByteRange(start, colon), value: ByteRange(colon + 2, end), isNeverIndexed: false), &out)
            }
            guard let head = text.finish(&out) else { return text.isTooLarge ? .tooLarge : .malformed }
            return .text(String(decoding: out.written[head], as: UTF8.self))
        }
    }

    private let get = [(":method", "GET"), (":scheme", "https"), (":path", "/a?b"), (":authority", "acme.test")]

    @Test("the order of pseudo-fields is free; fields follow, and host stands where it does in HTTP/1.1")
    func plain() {
        let line = "GET /a?b HTTP/1.1\r\nhost: acme.test\r\n"
        #expect(made(get) == .text(line + "\r\n"))
        #expect(made(get.reversed()) == .text(line + "\r\n"))
        #expect(made(get + [("accept", "*/*"), ("x-a", "")]) == .text(line + "accept: */*\r\nx-a: \r\n\r\n"))
        #expect(made([(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), ("host", "acme.test")])
            == .text("OPTIONS * HTTP/1.1\r\nhost: acme.test\r\n\r\n"))
    }

    @Test("a second host that says the same is one; another one is for the reader of heads to refuse")
    func host() {
        #expect(made(get + [("host", "ACME.test")]) == made(get))
        #expect(made(get + [("host", "evil.test")]) == .text("GET /a?b HTTP/1.1\r\nhost: acme.test\r\nhost: evil.test\r\n\r\n"))
    }

    @Test("crumbs of cookies become one field")
    func cookies() {
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3"), ("z", "")]
        #expect(made(get + crumbs) == .text("GET /a?b HTTP/1.1\r\nhost: acme.test\r\nx: y\r\ncookie: a=1; b=2; c=3\r\nz: \r\n\r\n"))
    }

    @Test("any number of crumbs between any other fields, whichever comes first")
    func manyCookies() {
        var random = SeededGenerator(state: 7)
        for _ in 0..<300 {
            let fields = (0..<Int.random(in: 2...30, using: &random)).map { number in
                let value = String(repeating: "v", count: Int.random(in: 0...20, using: &random)) + "\(number)"
                return (Bool.random(using: &random) ? "cookie" : "x-\(number)", value)
            }
            let crumbs = fields.filter { $0.0 == "cookie" }.map { $0.1 }
            let last = fields.lastIndex { $0.0 == "cookie" }
            var lines = "GET /a?b HTTP/1.1\r\nhost: acme.test\r\n"
            for (place, field) in fields.enumerated() where field.0 != "cookie" || place == last {
                lines += field.0 == "cookie" ? "cookie: \(crumbs.joined(separator: "; "))\r\n" : "\(field.0): \(field.1)\r\n"
            }
            #expect(made(get + fields) == .text(lines + "\r\n"))
        }
        // As many as there may be: 128 KiB of crumbs of a byte each.
        let crumbs = [(String, String)](repeating: ("cookie", "a"), count: 3000)
        #expect(made(get + crumbs, sizeMax: 128 << 10) == .text("GET /a?b HTTP/1.1\r\nhost: acme.test\r\ncookie: " + Array(repeating: "a", count: 3000).joined(separator: "; ") + "\r\n\r\n"))
    }

    @Test("extended CONNECT is the upgrade of a GET; CONNECT is what it is")
    func connect() {
        let extended = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/"), (":authority", "acme.test")]
        #expect(made(extended) == .text("GET / HTTP/1.1\r\nhost: acme.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"))
        #expect(made([(":method", "CONNECT"), (":authority", "a.test:1")]) == .text("CONNECT a.test:1 HTTP/1.1\r\nhost: a.test:1\r\n\r\n"))
    }

    @Test("what is malformed")
    func malformed() {
        let without = { (name: String) in get.filter { $0.0 != name } }
        var cases: [[(String, String)]] = [
            [], without(":method"), without(":scheme"), without(":path"), get + [(":path", "/")], get + [(":status", "200")], get + [(":x", "")],
            get + [("a", "b"), (":authority", "x")], get + [("", "x")], get + [("A", "b")], get + [("a b", "c")], get + [("a:", "c")],
            get + [("a", " b")], get + [("a", "b ")], get + [("a", "b\tc\t")], get + [("te", "gzip")],
            [(":method", "CONNECT"), (":authority", "a.test:1"), (":path", "/")], get + [(":protocol", "websocket")],
            without(":scheme") + [(":scheme", "ftp")],
        ]
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] { cases.append(get + [(name, "x")]) }
        for path in ["", "a", "http://acme.test/", "*", "/a b", "/a#b", "/a\u{7F}", "/\r\nx: y", "/ HTTP/1.1"] {
            cases.append(without(":path") + [(":path", path)])
        }
        for method in ["", "G ET", "GET\r\n", "GET /x"] { cases.append(without(":method") + [(":method", method)]) }
        for value in ["a\r\nb: c", "a\nb", "a\u{0}b", "\u{1}", "a\u{7F}"] { cases.append(get + [("x", value)]) }
        for fields in cases { #expect(made(fields) == .malformed, "\(fields)") }
        #expect(made(get + [("te", "trailers")]) != .malformed)
    }

    @Test("a list that is too large is one however small its text, and is decoded to its end")
    func sizes() {
        #expect(made(get, sizeMax: 200) != .tooLarge)
        #expect(made(get, sizeMax: 150) == .tooLarge)
        #expect(made(get + [("a", String(repeating: "b", count: 5000)), ("c", "d")]) == .tooLarge)
        #expect(made(get + (0..<200).map { ("a\($0)", "") }) == .tooLarge)
    }

    @Test("the reader of heads takes it from there")
    func heads() {
        func read(_ fields: [(String, String)], hasBody: Bool) -> (ParseOutcome, BodyFraming) {
            guard case .text(let text) = made(fields) else { return (.incomplete, .none) }
            var head = RequestHead(maxFields: 50)
            let outcome = Array(text.utf8).withUnsafeBytes {
                head.parse(ofStream: $0, hasBody: hasBody, limits: ParseLimits(maxHeadSize: 8192, maxFields: 50))
            }
            return (outcome, head.framing)
        }
        #expect(read(get, hasBody: false) == (.complete, .none))
        #expect(read(get, hasBody: true) == (.complete, .chunked))
        #expect(read(get + [("content-length", "5")], hasBody: true) == (.complete, .length(5)))
        #expect(read(get + [("content-length", "0")], hasBody: false) == (.complete, .none))
        #expect(read(get + [("content-length", "5")], hasBody: false).0 != .complete)
        #expect(read(get + [("host", "evil.test")], hasBody: false).0 == .refused(.request(.hostRepeated)))
        #expect(read(Array(get.dropLast()), hasBody: false).0 == .refused(.request(.hostMissing)))
        #expect(read([(":method", "CONNECT"), (":authority", "a.test:1")], hasBody: true).0 == .refused(.request(.connectMethod)))
    }
}
