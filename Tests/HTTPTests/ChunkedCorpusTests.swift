import Testing

@testable import HTTP

@Suite("Corpus of chunked bodies")
struct ChunkedCorpusTests {
    @Test(
        "malformed bodies are refused at the same byte however they arrive",
        arguments: Corpus.chunked.filter { !$0.isGood })
    func refused(_ item: CorpusCase) {
        let whole = decode(item.bytes)
        guard case .refused(let fault) = whole.state else {
            Issue.record("\(whole.state)")
            return
        }
        #expect(String(fault.status) == item.expected)
        #expect("\(fault.flaw)" == item.flaw)
        for cut in Corpus.cuts(item.bytes.count) {
            let parts = decode(item.bytes, cuts: [cut])
            if parts != whole {
                Issue.record("cut at \(cut): \(parts)")
                return
            }
        }
        guard case .refused(let answer) = decode(item.bytes, kind: .response).state else {
            Issue.record("accepted in an answer")
            return
        }
        #expect(answer.status == 502)
    }

    @Test(
        "good bodies give their data, and what stands behind them is left alone",
        arguments: Corpus.chunked.filter(\.isGood))
    func accepted(_ item: CorpusCase) {
        let whole = decode(item.bytes)
        #expect(whole.state == .complete)
        #expect(whole.data == Corpus.unescape(item.reason))
        for cut in Corpus.cuts(item.bytes.count) { #expect(decode(item.bytes, cuts: [cut]) == whole) }
        #expect(decode(item.bytes, cuts: Array(1..<item.bytes.count)) == whole, "byte by byte")
        #expect(decode(Array(item.bytes[..<whole.consumed])) == whole, "the last byte used is the body's last")
        if whole.consumed > 1 { #expect(decode(Array(item.bytes[..<(whole.consumed - 1)])).state == .more) }
    }

    @Test("blanks and zeros that old senders write are read in answers, and refused in requests", arguments: Corpus.tolerated)
    func tolerated(_ item: CorpusCase) {
        guard case .refused(let fault) = decode(item.bytes).state else {
            Issue.record("accepted in a request")
            return
        }
        #expect("\(fault.flaw)" == item.flaw && String(fault.status) == item.expected)
        let whole = decode(item.bytes, kind: .response)
        #expect(whole.state == .complete && whole.data == Array("hello".utf8) && whole.consumed == item.bytes.count)
        for cut in Corpus.cuts(item.bytes.count) {
            #expect(decode(item.bytes, cuts: [cut], kind: .response) == whole)
            #expect(decode(item.bytes, cuts: [cut]).state == .refused(fault))
        }
    }

    @Test("the corpus is as large as it should be")
    func size() { #expect(Corpus.chunked.count >= 60) }
}
