import Testing

@testable import HTTP

@Suite("What a connection begins with")
struct FirstBytesTests {
    private func areRequest(_ text: String) -> Bool {
        Array(text.utf8).withUnsafeBytes { FirstBytes.areRequest($0) }
    }

    @Test(
        "request lines of HTTP/1, whole or not",
        arguments: [
            "GET / HTTP/1.1\r\nHost: a\r\n", "get / HTTP/1.0\n", "PROPFIND /x HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n",
            "CONNECT a:443 HTTP/1.1\r\n", "GET http://a/ HTTP/1.1\r\n\r\n", "G", "GET", "GET ", "GET /", "GET / HTT",
            "POST /a?b=c HTTP/1.",
        ])
    func requests(_ text: String) { #expect(areRequest(text)) }

    @Test(
        "what is something else",
        arguments: [
            "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH-", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n",
            "PROXY TCP4", "EHLO a\r\n", "GET /\r\n", "GET  HTTP/1.1\r\n", "GET / HTTP/1.11\r\n",
            "GET / /x HTTP/1.1\r\n", "\n", "\r\n", " ",
            "GET / HTTP/2.0\r\n", "GETTING on", "\u{16}\u{3}\u{1}",
        ])
    func others(_ text: String) { #expect(!areRequest(text)) }
}
