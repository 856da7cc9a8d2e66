import Testing

@testable import HTTP

@Suite("Corpus of answers")
struct ResponseCorpusTests {
    @Test(
        "malformed answers are refused with 502 and their reason, however the bytes arrive",
        arguments: Corpus.responses.filter { !$0.isGood })
    func refused(_ item: CorpusCase) {
        let method: HTTP.Method = item.method == "HEAD" ? .head : .get
        var head = ResponseHead(maxFields: 100)
        let whole = feed(&head, item.bytes, to: method)
        guard case .refused(let fault) = whole else {
            Issue.record("\(whole)")
            return
        }
        #expect(String(fault.status) == item.expected)
        #expect("\(fault.flaw)" == item.flaw)
        for cut in Corpus.cuts(item.bytes.count) {
            let outcome = feed(&head, item.bytes, to: method, cuts: [cut])
            if outcome != whole {
                Issue.record("cut at \(cut): \(outcome)")
                return
            }
        }
    }

    @Test("good answers are accepted however the bytes arrive", arguments: Corpus.responses.filter(\.isGood))
    func accepted(_ item: CorpusCase) {
        let method: HTTP.Method = item.method == "HEAD" ? .head : .get
        var head = ResponseHead(maxFields: 100)
        #expect(feed(&head, item.bytes, to: method) == .complete)
        let (status, framing, length, count) = (head.status, head.framing, head.length, head.fields.count)
        for cut in Corpus.cuts(item.bytes.count) {
            #expect(feed(&head, item.bytes, to: method, cuts: [cut]) == .complete)
            #expect(head.status == status && head.framing == framing && head.length == length)
            #expect(head.fields.count == count)
        }
    }

    @Test("the corpus is as large as it should be")
    func size() { #expect(Corpus.responses.count >= 60) }
}
