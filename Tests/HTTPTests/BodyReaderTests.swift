import Testing

@testable import HTTP

@Suite("Bodies: where they end, and how chunks are written")
struct BodyReaderTests {
    /// What a body came to, read in the pieces that `cuts` make.
    private struct Outcome: Equatable {
        var data: [UInt8] = []
        var consumed = 0
        var isDone = false
        var fault: HTTPFault?
        var trailers: [UInt8] = []
    }

    private func read(_ bytes: [UInt8], _ framing: BodyFraming, cuts: [Int] = []) -> Outcome {
        var reader = BodyReader(framing, of: .response)
        var outcome = Outcome(isDone: reader.isDone)
        var start = 0
        for end in cuts + [bytes.count] where !outcome.isDone && outcome.fault == nil {
            // A region of its exact size, for the address sanitizer's eyes.
            let region = UnsafeMutableRawBufferPointer.allocate(byteCount: end - start, alignment: 1)
            defer { region.deallocate() }
            region.copyBytes(from: bytes[start..<end])
            let step = reader.read(region)
            outcome.data += Array(region[..<step.produced])
            outcome.consumed += step.consumed
            outcome.fault = step.fault
            start = end
            outcome.isDone = reader.isDone
            outcome.trailers = reader.trailers
        }
        return outcome
    }

    @Test(
        "each framing finds its end, cut at every byte, and leaves alone what comes behind",
        arguments: [
            (BodyFraming.length(5), "hello", "hello", ""), (.length(0), "", "", ""), (.none, "", "", ""),
            (.chunked, "2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n", "hello", "A: b\r\n"), (.chunked, "0\r\n\r\n", "", ""),
        ])
    func ends(framing: BodyFraming, sent: String, data: String, trailers: String) {
        let next = Array("HTTP/1.1 200 OK".utf8)
        let bytes = Array(sent.utf8) + next
        for cut in 0...bytes.count {
            let outcome = read(bytes, framing, cuts: [cut])
            #expect(outcome.isDone && outcome.fault == nil)
            #expect(outcome.consumed == sent.utf8.count)
            #expect(outcome.data == Array(data.utf8) && outcome.trailers == Array(trailers.utf8))
        }
    }

    @Test("a body until the end of the connection ends with it, and no other one does")
    func endOfConnection() {
        var open = BodyReader(.untilClose, of: .response)
        var bytes = Array("anything".utf8)
        let step = bytes.withUnsafeMutableBytes { open.read($0) }
        #expect(step.produced == 8 && step.consumed == 8 && !open.isDone)
        let ended = open.end()
        #expect(ended && open.isDone)
        for framing in [BodyFraming.length(9), .chunked] {
            var reader = BodyReader(framing, of: .response)
            let ended = reader.end()
            #expect(!ended && !reader.isDone)
        }
        var whole = BodyReader(.length(0), of: .response)
        let was = whole.end()
        #expect(was)
    }

    @Test("what is known to come next is told, and no more than that")
    func ahead() {
        var length = BodyReader(.length(1_000_000), of: .request)
        #expect(length.ahead == 1_000_000)
        var bytes = [UInt8](repeating: 1, count: 100)
        _ = bytes.withUnsafeMutableBytes { length.read($0) }
        #expect(length.ahead == 999_900)
        var chunked = BodyReader(.chunked, of: .request)
        #expect(chunked.ahead == 0)
        bytes = Array("A\r\n12".utf8)
        _ = bytes.withUnsafeMutableBytes { chunked.read($0) }
        #expect(chunked.ahead == 8)
        #expect(BodyReader(.none, of: .request).ahead == 0)
    }

    @Test("a fault names who is to blame, comes after the data before it, and stays")
    func fault() {
        let bytes = Array("2\r\nhe\r\nX\r\n".utf8)
        for cut in 0...bytes.count {
            let outcome = read(bytes, .chunked, cuts: [cut])
            #expect(outcome.fault == .response(.chunkSize) && outcome.data == Array("he".utf8) && !outcome.isDone)
        }
        var reader = BodyReader(.chunked, of: .request)
        for text in ["\n", "0\r\n\r\n"] {
            var bytes = Array(text.utf8)
            let step = bytes.withUnsafeMutableBytes { reader.read($0) }
            #expect(step.consumed == 0 || text == "\n")
            #expect(step.fault?.status == 400)
        }
    }

    @Test("what is written is what is read, whatever the sizes, and no byte outside its room is touched")
    func roundTrip() {
        for sizes in [[0], [1], [15, 16, 17], [4096, 1], [65_535, 65_536], []] {
            for trailers in ["", "A: b\r\nC: d\r\n"].map({ Array($0.utf8) }) {
                var wire: [UInt8] = []
                for (index, size) in sizes.enumerated() {
                    wire += write(size, isLast: index == sizes.count - 1, trailers: index == sizes.count - 1 ? trailers : [])
                }
                if sizes.isEmpty { wire = write(0, isLast: true, trailers: trailers) }
                let outcome = read(wire, .chunked, cuts: [wire.count / 2])
                #expect(outcome.isDone && outcome.consumed == wire.count)
                #expect(outcome.data.count == sizes.reduce(0, +) && outcome.data.allSatisfy { $0 == 0x61 })
                #expect(outcome.trailers == trailers)
            }
        }
        #expect(write(0, isLast: false, trailers: []).isEmpty)
    }

    /// One chunk, written in a room that is guarded on both sides.
    private func write(_ size: Int, isLast: Bool, trailers: [UInt8]) -> [UInt8] {
        let behind = ChunkWriter.behind(trailers: trailers.count)
        var room = [UInt8](repeating: 0xEE, count: 1 + ChunkWriter.front + size + behind + 1)
        let written = room.withUnsafeMutableBytes { room in
            let data = UnsafeMutableRawBufferPointer(rebasing: room[(1 + ChunkWriter.front)..<(1 + ChunkWriter.front + size)])
            for i in data.indices { data[i] = 0x61 }
            return Array(ChunkWriter.wrap(data, isLast: isLast, trailers: trailers))
        }
        #expect(room.first == 0xEE && room.last == 0xEE)
        return written
    }
}
