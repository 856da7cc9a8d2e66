import Testing

@testable import HTTP

@Suite("Chunked bodies")
struct ChunkedDecoderTests {
    @Test("trailers are passed on without what comes too late to be checked")
    func trailers() {
        let fields = [
            "X-Digest: abc", "x_tenant_id: globex", "X-Tenant-Id: globex", "Forwarded: for=1", "X_Forwarded_For: 1",
            "Authorization: Bearer x", "X-API-Key: k", "Connection: close", "Keep-Alive: 1", "TE: trailers",
            "Cookie: a",
            "Trailer: a", "Upgrade: a", "Expect: 100-continue", "Content-Type: a", "Set-Cookie: a=b",
            "Server-Timing: 1",
        ]
        let result = decode(Array("0\r\n\(fields.joined(separator: "\r\n"))\r\n\r\n".utf8))
        #expect(result.state == .complete)
        #expect(String(decoding: result.trailers, as: UTF8.self) == "X-Digest: abc\r\nServer-Timing: 1\r\n")
    }

    @Test("a chunk-size line of exactly the limit is accepted, and one byte more is not")
    func lineLimit() {
        let body = "\r\nx\r\n0\r\n\r\n"
        #expect(decode(Array("1;\(String(repeating: "a", count: 253))\(body)".utf8)).state == .complete)
        let longer = decode(Array("1;\(String(repeating: "a", count: 255))\(body)".utf8))
        #expect(longer.state == .refused(.request(.chunkLineTooLong)))
    }

    @Test("what an answer may pad its chunk-size line with counts against the same limit")
    func paddedLineLimit() {
        let body = "\r\nx\r\n0\r\n\r\n"
        #expect(decode(Array("1\(String(repeating: " ", count: 254))\(body)".utf8), kind: .response).state == .complete)
        for line in ["1" + String(repeating: " ", count: 255), String(repeating: "0", count: 256) + "1"] {
            let longer = decode(Array("\(line)\(body)".utf8), kind: .response)
            #expect(longer.state == .refused(.response(.chunkLineTooLong)))
        }
    }

    @Test("nothing is taken after the end, nor after a flaw")
    func after() {
        var decoder = ChunkedDecoder(of: .response)
        var bytes = Array("0\r\n\r\nHTTP/1.1".utf8)
        let end = bytes.withUnsafeMutableBytes { decoder.decode($0) }
        #expect(end.consumed == 5 && end.produced == 0 && end.state == .complete && decoder.isComplete)
        let more = bytes.withUnsafeMutableBytes { decoder.decode($0) }
        #expect(more.consumed == 0 && more.state == .complete)

        var broken = ChunkedDecoder(of: .response)
        bytes = Array("1\r\nab".utf8)
        let flaw = bytes.withUnsafeMutableBytes { broken.decode($0) }
        #expect(flaw.produced == 1 && flaw.state == .refused(.response(.chunkDataEnd)))
        bytes = Array("0\r\n\r\n".utf8)
        let again = bytes.withUnsafeMutableBytes { broken.decode($0) }
        #expect(again.consumed == 0 && again.state == .refused(.response(.chunkDataEnd)))
    }

    @Test("a body that stops before its end is never complete")
    func truncated() {
        let bytes = Array("5\r\nhello\r\n0\r\nA: b\r\n\r\n".utf8)
        for count in 0..<bytes.count { #expect(decode(Array(bytes[..<count])).state == .more) }
        #expect(decode(bytes).state == .complete)
    }

    @Test("an empty region changes nothing")
    func empty() {
        var decoder = ChunkedDecoder(of: .request)
        let step = decoder.decode(UnsafeMutableRawBufferPointer(start: nil, count: 0))
        #expect(step.consumed == 0 && step.produced == 0 && step.state == .more)
    }
}
