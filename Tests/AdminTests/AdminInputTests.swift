import Base
import Testing

@testable import Admin

@Suite struct AdminInputTests {
    private enum Seen: Equatable {
        case request(String, keepAlive: Bool)
        case refused(Int)
    }

    /// What is made of bytes that come in pieces of that size, and the most room that was ever left unused.
    private func read(_ text: String, pieces: Int) -> [Seen] {
        var input = AdminInput()
        var rest = Array(text.utf8)[...]
        var seen: [Seen] = []
        while true {
            switch input.next() {
            case .request(let request, let keepAlive): seen.append(.request("\(request.host)\(request.path)", keepAlive: keepAlive))
            case .refused(let status, _): return seen + [.refused(status)]
            case .needsMore:
                if rest.isEmpty { return seen }
                let piece = Array(rest.prefix(min(pieces, input.room)))
                #expect(!piece.isEmpty)
                rest = rest.dropFirst(piece.count)
                piece.withUnsafeBytes { input.add($0) }
            }
        }
    }

    @Test("requests are the same however they are cut", arguments: [1, 2, 3, 50, 1000, Int.max])
    func pieces(_ size: Int) {
        let text =
            "GET /a HTTP/1.1\r\nHost: A.test:80\r\n\r\n"
            + "POST /b HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 5\r\n\r\nhello"
            + "POST /c HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 70000\r\n\r\n" + String(repeating: "x", count: 70_000)
            + "GET /d HTTP/1.0\r\nHost: d\r\n\r\n"
        #expect(
            read(text, pieces: size) == [
                .request("a.test/a", keepAlive: true), .request("[::1]/b", keepAlive: true),
                .request("127.0.0.1/c", keepAlive: true), .request("d/d", keepAlive: false),
            ])
    }

    @Test("no more is kept than a head")
    func bound() {
        #expect(read("GET /" + String(repeating: "x", count: 40_000), pieces: 1000) == [.refused(414)])
        let field = "A: " + String(repeating: "x", count: 1000) + "\r\n"
        let head = "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: field, count: 50)
        #expect(read(head, pieces: 1000) == [.refused(431)])
    }

    @Test("bodies that mean too much are refused")
    func bodies() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\n"
        for field in ["Content-Length: 1048577", "Content-Length: 9999999999999999999", "Transfer-Encoding: chunked"] {
            let seen = read(head + field + "\r\n\r\n", pieces: .max)
            #expect(seen == [.refused(413)] || seen == [.refused(400)], "\(field)")
        }
    }
}
