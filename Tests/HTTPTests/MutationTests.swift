import TestSupport
import Testing

@testable import HTTP

/// Damages good messages at random: whatever comes out of it, the outcome may not depend on how the bytes arrive, and
/// what is accepted must read the same after it was forwarded.
@Suite("Mutations")
struct MutationTests {
    private static let insertions: [[UInt8]] = [
        [13], [10], [0], [32], [9], [0x3A], [0x2C], [0x80], [0x7F], [13, 10], [13, 10, 13, 10], [0x2D], [0x5F], [0x2E],
        [0x30],
        Array("Transfer-Encoding: chunked\r\n".utf8), Array("Content-Length: 5\r\n".utf8), Array("Host: b\r\n".utf8),
    ]

    private func mutate(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0...Int.random(in: 0..<3, using: &random) {
            let at = Int.random(in: 0..<max(bytes.count, 1), using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0 where !bytes.isEmpty: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1 where !bytes.isEmpty: bytes.remove(at: at)
            case 2: bytes.insert(contentsOf: Self.insertions.randomElement(using: &random)!, at: at)
            case 3 where !bytes.isEmpty: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default:
                let end = min(bytes.count, at + Int.random(in: 0..<20, using: &random))
                bytes.insert(contentsOf: bytes[min(at, end)..<end], at: Int.random(in: 0...bytes.count, using: &random))
            }
        }
        return bytes
    }

    @Test("damaged requests", arguments: [1, 2, 3, 4] as [UInt64])
    func requests(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let good = Corpus.requests.filter { $0.isGood && $0.bytes.count < 600 }.map(\.bytes)
        var head = RequestHead(maxFields: 100)
        var other = RequestHead(maxFields: 100)
        var accepted = 0
        for round in 0..<2500 {
            let bytes = mutate(good.randomElement(using: &random)!, &random)
            guard !bytes.isEmpty else { continue }
            let whole = feed(&head, bytes)
            let cut = Int.random(in: 0..<bytes.count, using: &random)
            let parts = feed(&other, bytes, cuts: [min(cut, 3), cut].sorted())
            #expect(parts == whole, "seed \(seed), round \(round)")
            guard whole == .complete, parts == .complete else { continue }
            accepted += 1
            let reading = Reading(head, bytes)
            #expect(reading == Reading(other, bytes), "seed \(seed), round \(round)")
            let forwarded = reading.forwarded
            #expect(feed(&other, forwarded) == .complete, "seed \(seed), round \(round)")
            let again = Reading(other, forwarded)
            #expect(again.length == forwarded.count && again.framing == reading.framing && again.host == reading.host)
        }
        #expect(accepted > 100)
    }

    @Test("damaged answers", arguments: [1, 2] as [UInt64])
    func answers(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let good = Corpus.responses.filter(\.isGood).map(\.bytes)
        var head = ResponseHead(maxFields: 100)
        for round in 0..<2500 {
            let bytes = mutate(good.randomElement(using: &random)!, &random)
            let whole = feed(&head, bytes)
            let parts = feed(&head, bytes, cuts: [Int.random(in: 0...bytes.count, using: &random)])
            #expect(parts == whole, "seed \(seed), round \(round)")
        }
    }

    @Test("damaged chunked bodies", arguments: [1, 2] as [UInt64])
    func chunked(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let good = Corpus.chunked.filter { $0.isGood && $0.bytes.count < 600 }.map(\.bytes)
        for round in 0..<2500 {
            let bytes = mutate(good.randomElement(using: &random)!, &random)
            let whole = decode(bytes)
            let parts = decode(bytes, cuts: [Int.random(in: 0...bytes.count, using: &random)])
            #expect(parts == whole, "seed \(seed), round \(round)")
        }
    }
}
