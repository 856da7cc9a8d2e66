import Testing

@testable import Client

/// What came of an answer.
struct Reading: Equatable {
    var head: HTTPClient.Head?
    var body = ""
    var isWhole = false
    var surplus = 0
    var mayGoOn = false
    var failure: String?
}

/// Reads `text`, in the pieces that `cuts` make, and then the end of the connection.
func read(_ text: String, cuts: [Int] = [], limits: AnswerLimits = AnswerLimits(), isForHead: Bool = false) -> Reading {
    let bytes = Array(text.utf8)
    var reader = AnswerReader(limits, isForHead: isForHead)
    var reading = Reading()
    do throws(ClientFailure) {
        var start = 0
        for end in cuts.filter({ $0 < bytes.count }) + [bytes.count] {
            // A region of its own exact size, for the address sanitizer's eyes.
            let region = UnsafeMutableRawBufferPointer.allocate(byteCount: end - start, alignment: 1)
            defer { region.deallocate() }
            region.copyBytes(from: bytes[start..<end])
            var rest = region
            reading: while true {
                switch try reader.next(&rest) {
                case .more: break reading
                case .head(let head): reading.head = head
                case .part(let part): reading.body += String(decoding: part, as: UTF8.self)
                case .end:
                    (reading.isWhole, reading.mayGoOn) = (true, reader.mayGoOn)
                    reading.surplus = rest.count + bytes.count - end
                    return reading
                }
            }
            start = end
        }
        try reader.end()
        (reading.isWhole, reading.mayGoOn) = (true, reader.mayGoOn)
    } catch { reading.failure = error.description }
    return reading
}

@Suite struct AnswerReaderTests {
    static let ok = "HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\n"

    static let whole: [(text: String, body: String, surplus: Int, mayGoOn: Bool)] = [
        (ok + "Content-Length: 5\r\n\r\nhello", "hello", 0, true),
        (ok + "Content-Length: 5\r\n\r\nhello and more", "hello", 9, true),
        (ok + "Content-Length: 5\r\nConnection: close\r\n\r\nhello", "hello", 0, false),
        (ok + "Content-Length: 0\r\n\r\n", "", 0, true),
        (ok + "\r\nhello", "hello", 0, false),
        (ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX: y\r\n\r\n", "hello", 0, true),
        (ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP", "", 4, true),
        ("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello", "hello", 0, true),
        ("HTTP/1.0 200 OK\r\nCache-Control: max-age=5\r\nContent-Length: 5\r\n\r\nhello", "hello", 0, false),
    ]

    @Test("an answer is the same wherever it is cut", arguments: 0..<9)
    func cuts(_ index: Int) {
        let (text, body, surplus, mayGoOn) = Self.whole[index]
        let expected = read(text)
        #expect(expected.isWhole && expected.failure == nil && expected.body == body)
        #expect(expected.surplus == surplus && expected.mayGoOn == mayGoOn)
        #expect(expected.head?.status == 200 && expected.head?.first("cache-control") == "max-age=5")
        let size = text.utf8.count
        for cut in 0...size { #expect(read(text, cuts: [cut]) == expected, "cut at \(cut)") }
        #expect(read(text, cuts: Array(1..<size)) == expected, "byte by byte")
    }

    @Test("without a body: by status, and in answer to HEAD")
    func bodiless() {
        #expect(read("HTTP/1.1 204 No Content\r\n\r\n") == Reading(head: .init(status: 204, fields: []), isWhole: true, mayGoOn: true))
        // What comes behind it all the same is nobody's, and no next answer.
        let announced = read("HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx")
        #expect(announced.isWhole && announced.body.isEmpty && announced.surplus == 1 && !announced.mayGoOn)
        #expect(read("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n").isWhole)
        #expect(read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", isForHead: true).isWhole)
        // Nobody asked for another protocol: the answer is one, and the connection is of no more use.
        let upgrade = read("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        #expect(upgrade.head?.status == 101 && upgrade.isWhole && !upgrade.mayGoOn)
    }

    @Test("what is cut short is no answer, wherever that is")
    func cutShort() {
        for (text, _, surplus, _) in Self.whole where !text.contains("\r\n\r\nhello") || text.contains("Length: 5") {
            for count in 0..<text.utf8.count - surplus {
                let cut = String(decoding: text.utf8.prefix(count), as: UTF8.self)
                #expect(read(cut).failure == "the answer was cut short", "after \(count) of \(text)")
            }
        }
    }

    static let malformed = [
        "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhello", ok + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n",
    ]

    @Test("what two readers could read two ways is no answer", arguments: malformed)
    func refused(_ text: String) {
        for cuts in [[], Array(1..<text.utf8.count)] {
            #expect(read(text, cuts: cuts).failure?.hasPrefix("not a valid answer: ") == true, "\(read(text, cuts: cuts))")
        }
    }

    @Test("no more is taken than the bounds")
    func bounds() {
        let limits = AnswerLimits(heads: 4096, fields: 10, body: 1000)
        let body = String(repeating: "x", count: 1001)
        for head in ["Content-Length: 1001\r\n\r\n", "\r\n", "Transfer-Encoding: chunked\r\n\r\n3e9\r\n"] {
            let text = "HTTP/1.1 200 OK\r\n" + head + body
            #expect(read(text, cuts: Array(1..<text.utf8.count), limits: limits).failure == "the answer is too large")
        }
        // An announced length is refused before its first byte.
        #expect(read("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", limits: limits).failure == "the answer is too large")
        for text in ["HTTP/1.1 200 OK\r\nA: " + body + body + body + body + body, "HTTP/1.1 200 OK\r\n" + String(repeating: "A: b\r\n", count: 11) + "\r\n"] {
            #expect(read(text, cuts: [7, 800], limits: limits).failure?.hasPrefix("not a valid answer: ") == true)
        }
    }

    @Test("interim answers are passed over however many they are, and come to an end by their size")
    func interim() {
        func storm(_ count: Int, _ field: String = "") -> String {
            String(repeating: "HTTP/1.1 103 Early Hints\r\n\(field)\r\n", count: count) + "HTTP/1.1 204 No Content\r\n\r\n"
        }
        let limits = AnswerLimits(heads: 4096)
        #expect(read(storm(140), cuts: Array(stride(from: 11, to: 3900, by: 11)), limits: limits).isWhole)
        for count in [146, 147, 148, 1000] {
            let cuts = Array(stride(from: 11, to: 28 * count, by: 11))
            #expect(read(storm(count), cuts: cuts, limits: limits).failure == "not a valid answer: too many interim answers")
        }
        // None of them has a body, whatever it says.
        #expect(read(storm(3, "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n")).isWhole)
        let large = "Link: " + String(repeating: "x", count: 1000) + "\r\n"
        #expect(read(storm(3, large), limits: AnswerLimits(heads: 4096)).isWhole)
        #expect(read(storm(5, large), limits: AnswerLimits(heads: 4096)).failure != nil)
    }
}

extension AnswerReaderTests {
    @Test("a field has the bytes that were sent, and is known as one of its connection alone")
    func octets() throws {
        var reader = AnswerReader(AnswerLimits())
        var bytes = Array("HTTP/1.1 200 OK\r\nX-Name: M\u{01}ller\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n".utf8)
        bytes[bytes.firstIndex(of: 1)!] = 0xFC
        let head: HTTPClient.Head? = try bytes.withUnsafeMutableBytes { bytes in
            var rest = bytes
            if case .head(let head) = try reader.next(&rest) { return head }
            return nil
        }
        let fields = try #require(head).fields
        #expect(fields[0].octets == [0x4D, 0xFC] + Array("ller".utf8) && fields[0].value == "M\u{FFFD}ller")
        #expect(fields.map(\.isOfConnection) == [false, true, true, false])
    }
}
