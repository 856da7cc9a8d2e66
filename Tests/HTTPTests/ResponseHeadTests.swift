import Testing

@testable import HTTP

@Suite("Answer heads")
struct ResponseHeadTests {
    @Test(
        "the end of the body is found as RFC 9112 section 6.3 says",
        arguments: [
            (HTTP.Method.get, "200 OK", "Content-Length: 5\r\n", BodyFraming.length(5), true),
            (.get, "200 OK", "Transfer-Encoding: chunked\r\n", .chunked, true),
            (.get, "200 OK", "", .untilClose, false),
            (.head, "200 OK", "Content-Length: 5\r\n", .none, true), (.head, "200 OK", "", .none, true),
            (.get, "204 No Content", "", .none, true), (.get, "204 No Content", "Content-Length: 0\r\n", .none, true),
            // A body that is announced where there can be none may come all the same: not on a connection that is used again.
            (.get, "204 No Content", "Content-Length: 5\r\n", .none, false),
            (.get, "204 No Content", "Transfer-Encoding: chunked\r\n", .none, false),
            (.head, "204 No Content", "Content-Length: 5\r\n", .none, false),
            (.get, "204 No Content", "Content-Length: five\r\n", .none, false),
            (.get, "100 Continue", "Content-Length: 5\r\n", .none, false),
            (.get, "101 Switching Protocols", "Transfer-Encoding: chunked\r\n", .none, false),
            (.get, "304 Not Modified", "Content-Length: 5\r\n", .none, true), (.get, "100 Continue", "", .none, true),
            (.get, "101 Switching Protocols", "", .none, true),
            (.get, "205 Reset Content", "Content-Length: 0\r\n", .length(0), true),
            (.get, "200 OK", "Content-Length: 5\r\nConnection: close\r\n", .length(5), false),
            (.post, "404 Not Found", "Content-Length: 0\r\n", .length(0), true),
            (.options, "500", "", .untilClose, false),
        ])
    func framing(_ method: HTTP.Method, _ line: String, _ fields: String, _ framing: BodyFraming, _ keepAlive: Bool) {
        var head = ResponseHead(maxFields: 10)
        let bytes = Array("HTTP/1.1 \(line)\r\n\(fields)\r\n".utf8)
        #expect(feed(&head, bytes, to: method) == .complete)
        #expect(head.framing == framing && head.keepAlive == keepAlive && head.length == bytes.count)
        #expect(String(head.status) == line.prefix(3))
        #expect(head.isUpgrade == (head.status == 101) && head.isInterim == (head.status == 100))
    }

    @Test(
        "the reason is what stands behind the status",
        arguments: [
            ("200 OK", "OK"), ("200 ", ""), ("200", ""), ("404 Not Found", "Not Found"), ("200  x", " x"),
        ])
    func reason(_ line: String, _ reason: String) {
        var head = ResponseHead(maxFields: 10)
        let bytes = Array("HTTP/1.1 \(line)\r\nContent-Length: 0\r\n\r\n".utf8)
        #expect(feed(&head, bytes) == .complete)
        #expect(text(bytes, head.reason) == reason)
    }

    @Test("a server that does not speak HTTP is found out at its first byte")
    func early() {
        var head = ResponseHead(maxFields: 10)
        for text in ["\u{16}", "h", "HTTQ", " ", "\r", "SSH-"] {
            #expect(feed(&head, Array(text.utf8)) == .refused(.response(.startLine)))
        }
        for text in ["H", "HTTP", "HTTP/", "HTTP/1.1 20"] { #expect(feed(&head, Array(text.utf8)) == .incomplete) }
    }
}
