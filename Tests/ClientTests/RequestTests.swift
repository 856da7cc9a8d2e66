import Testing

@testable import Client

@Suite struct RequestTests {
    private func wire(_ request: HTTPClient.Request) -> String? {
        (try? request.wire()).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("as it goes over the wire")
    func wire() {
        #expect(
            wire(.init("GET", "/a?b", authority: "a.test", fields: [.init("Accept", "x/y")]))
                == "GET /a?b HTTP/1.1\r\nHost: a.test\r\nUser-Agent: gateway\r\nConnection: close\r\nAccept: x/y\r\n\r\n")
        let start = "POST / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: x\r\n"
        func post(_ body: HTTPClient.Request.Body) -> String? {
            wire(.init("POST", "/", authority: "a.test", userAgent: "x", body: body, keepsConnection: true))
        }
        #expect(post(.none) == start + "Content-Length: 0\r\n\r\n")
        #expect(post(.bytes(Array("hello".utf8))) == start + "Content-Length: 5\r\n\r\nhello")
        #expect(post(.parts) == start + "Transfer-Encoding: chunked\r\n\r\n")
        #expect(HTTPClient.Request.chunk(Array("hello".utf8)) == Array("5\r\nhello\r\n".utf8))
        #expect(HTTPClient.Request.chunk([]) == Array("0\r\n\r\n".utf8))
    }

    @Test("nothing in it can become a line of its own")
    func injection() {
        for text in ["a\r\nB: c", "a\nb", "a\rb", "a\0b", "a\u{7F}b"] {
            #expect(wire(.init("GET", "/" + text, authority: "a.test")) == nil)
            #expect(wire(.init("GET", "/", authority: text)) == nil)
            #expect(wire(.init(text, "/", authority: "a.test")) == nil)
            #expect(wire(.init("GET", "/", authority: "a.test", userAgent: text)) == nil)
            #expect(wire(.init("GET", "/", authority: "a.test", fields: [.init("A", text)])) == nil)
            #expect(wire(.init("GET", "/", authority: "a.test", fields: [.init(text, "b")])) == nil)
        }
        #expect(wire(.init("GET", "/a b", authority: "a.test")) == nil)
        #expect(wire(.init("GET", "", authority: "a.test")) == nil)
        #expect(wire(.init("CONNECT", "a.test:80", authority: "a.test")) == nil)
    }
}
