import Testing

@testable import HTTP

@Suite("Corpus of requests")
struct RequestCorpusTests {
    @Test(
        "malformed requests are refused with their status and reason, however the bytes arrive",
        arguments: Corpus.requests.filter { !$0.isGood })
    func refused(_ item: CorpusCase) {
        var head = RequestHead(maxFields: 100)
        let whole = feed(&head, item.bytes)
        guard case .refused(let fault) = whole else {
            Issue.record("\(whole)")
            return
        }
        #expect(String(fault.status) == item.expected)
        #expect("\(fault.flaw)" == item.flaw)
        for cut in Corpus.cuts(item.bytes.count) {
            let outcome = feed(&head, item.bytes, cuts: [cut])
            if outcome != whole {
                Issue.record("cut at \(cut): \(outcome)")
                return
            }
        }
        if item.bytes.count < 1200 {
            #expect(feed(&head, item.bytes, cuts: Array(1..<max(item.bytes.count, 1))) == whole, "byte by byte")
        }
    }

    @Test(
        "good requests are read alike however the bytes arrive, and forwarded as what they are",
        arguments: Corpus.requests.filter(\.isGood))
    func accepted(_ item: CorpusCase) {
        var head = RequestHead(maxFields: 100)
        #expect(feed(&head, item.bytes) == .complete)
        let whole = Reading(head, item.bytes)
        for cut in Corpus.cuts(item.bytes.count) {
            let outcome = feed(&head, item.bytes, cuts: [cut])
            if outcome != .complete || Reading(head, item.bytes) != whole {
                Issue.record("cut at \(cut): \(outcome)")
                return
            }
        }
        #expect(feed(&head, item.bytes, cuts: Array(1..<item.bytes.count)) == .complete, "byte by byte")
        #expect(Reading(head, item.bytes) == whole)
        for i in 0..<head.fields.count {
            let field = head.fields[i]
            let line = Array(item.bytes[field.line.first..<field.line.end])
            #expect(line.starts(with: Array(text(item.bytes, field.name).utf8) + [0x3A]))
            #expect(line.suffix(Int(field.value.count)) == item.bytes[field.value.first..<field.value.end])
        }

        let forwarded = whole.forwarded
        #expect(!forwarded.contains(0) && forwarded.filter { $0 == 13 }.count == forwarded.filter { $0 == 10 }.count)
        #expect(feed(&head, forwarded) == .complete)
        let again = Reading(head, forwarded)
        #expect(again.length == forwarded.count)
        #expect(again.method == whole.method && again.target == whole.target && again.host == whole.host)
        #expect(again.framing == whole.framing && again.fields == whole.fields.filter { !$0.isHopByHop })
    }

    @Test("the corpus is as large as it should be")
    func size() {
        #expect(Corpus.requests.filter { !$0.isGood }.count >= 220)
        #expect(Corpus.requests.filter(\.isGood).count >= 60)
        #expect(Set(Corpus.requests.map(\.name)).count == Corpus.requests.count)
    }
}

/// Everything that a head says, taken out of its bytes.
struct Reading: Equatable {
    struct Line: Equatable {
        var name: String
        var value: [UInt8]
        var isHopByHop: Bool
    }

    var method: String
    var target: String
    var path: String
    var host: String
    var hostHeader: String
    var version: HTTP.Version
    var framing: BodyFraming
    var keepAlive: Bool
    var expectsContinue: Bool
    var wantsUpgrade: Bool
    var length: Int
    var fields: [Line] = []

    init(_ head: borrowing RequestHead, _ bytes: [UInt8]) {
        method = text(bytes, head.methodRange)
        target = (head.impliedTarget.map { String(UnicodeScalar($0)) } ?? "") + text(bytes, head.target)
        path = text(bytes, head.path)
        host = text(bytes, head.host)
        hostHeader = text(bytes, head.hostHeader)
        (version, framing, length) = (head.version, head.framing, head.length)
        (keepAlive, expectsContinue, wantsUpgrade) = (head.keepAlive, head.expectsContinue, head.wantsUpgrade)
        for i in 0..<head.fields.count {
            let field = head.fields[i]
            fields.append(
                Line(
                    name: text(bytes, field.name), value: Array(bytes[field.value.first..<field.value.end]),
                    isHopByHop: field.dropped || field.id.isHopByHop && field.id != .transferEncoding))
        }
    }

    /// A head as a proxy would write it.
    var forwarded: [UInt8] {
        var out = Array("\(method) \(target) HTTP/1.1\r\n".utf8)
        for field in fields where !field.isHopByHop { out += Array("\(field.name): ".utf8) + field.value + [13, 10] }
        return out + [13, 10]
    }
}
