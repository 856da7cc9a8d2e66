import Testing

@testable import Gateway

@Suite struct AnswerReaderTests {
    /// What comes of an answer that arrives in pieces of that size and then ends.
    private func read(_ text: String, pieces: Int = .max, bodyMax: Int = 1000) throws(InquiryFailure) -> Inquiry.Answer {
        var reader = AnswerReader(bodyMax: bodyMax)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            var piece = Array(rest.prefix(pieces))
            rest = rest.dropFirst(pieces)
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
            defer { room.deallocate() }
            room.copyBytes(from: piece)
            piece = []
            if let answer = try reader.take(room) { return answer }
        }
        return try reader.end()
    }

    private func failure(_ text: String, pieces: Int = .max, bodyMax: Int = 1000) -> String? {
        do throws(InquiryFailure) {
            _ = try read(text, pieces: pieces, bodyMax: bodyMax)
            return nil
        } catch { return error.description }
    }

    static let whole = [
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nContent-Length: 5\r\n\r\nhello and more",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
            + "HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nContent-Length: 5\r\n\r\nhello",
    ]

    @Test("an answer is the same however it is cut", arguments: whole, [1, 2, 3, 7, 40, Int.max])
    func pieces(_ text: String, _ size: Int) throws {
        let answer = try read(text, pieces: size)
        #expect(answer.status == 200 && answer.cacheControl == "max-age=5")
        #expect(String(decoding: answer.body, as: UTF8.self) == "hello")
    }

    @Test("what is cut short is no answer")
    func cut() {
        for text in Self.whole where text != Self.whole[1] {
            let end = text.hasSuffix("more") ? text.count - 10 : text.count - 1
            for count in [1, 20, end] { #expect(failure(String(text.prefix(count)), pieces: 5) == "the answer was cut short") }
        }
    }

    @Test("no more is kept than the bound, in any framing")
    func bound() {
        let body = String(repeating: "x", count: 1001)
        for head in ["Content-Length: 1001\r\n\r\n", "\r\n", "Transfer-Encoding: chunked\r\n\r\n3e9\r\n"] {
            #expect(failure("HTTP/1.1 200 OK\r\n" + head + body, pieces: 100) == "the answer is too large")
        }
        #expect(failure("HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 70_000), pieces: 5000)?.hasPrefix("not a valid") == true)
        let storm = String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: 9)
        #expect(failure(storm, pieces: 11) == "not a valid answer: too many interim answers")
    }
}
