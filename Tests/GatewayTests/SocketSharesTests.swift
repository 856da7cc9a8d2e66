import Configuration
import Testing

@testable import Gateway

@Suite("Sockets of workers")
struct SocketSharesTests {
    private func even(_ counts: [Int], _ workers: Int) -> (counts: [Int], moves: [[Int]], wanted: [Int]) {
        let (after, moves, wanted) = SocketShares.even(counts, over: workers)
        return (after, moves.map { [$0.from, $0.to] }, wanted)
    }

    @Test("one that is new gets a new one")
    func grows() {
        let change = even([1], 3)
        #expect(change.counts == [1, 0, 0] && change.moves.isEmpty && change.wanted == [1, 2])
    }

    @Test("one that rests gives all, and whoever has least gets them")
    func shrinks() {
        let change = even([1, 1, 1, 1], 2)
        #expect(change.counts == [2, 2, 0, 0] && change.moves == [[2, 0], [3, 1]] && change.wanted.isEmpty)
        // The first two have one each: a third one for either would be half as much again.
        let odd = even([1, 1, 1, 1], 3)
        #expect(odd.counts == [2, 1, 1, 0] && odd.wanted == [1, 2])
    }

    @Test("those that are many go back to where they have come from")
    func comesBack() {
        let change = even([4, 4], 8)
        #expect(change.counts == Array(repeating: 1, count: 8) && change.moves.count == 6 && change.wanted.isEmpty)
    }

    @Test("however often it changes, there are a few for each at the most, and none is lost")
    func bounded() {
        var counts = [1]
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let workers = Int.random(in: 1...9, using: &random)
            let (after, _, wanted) = SocketShares.even(counts, over: workers)
            #expect(after.reduce(0, +) == counts.reduce(0, +))
            counts = after
            for worker in wanted { counts[worker] += 1 }
            #expect(counts.dropFirst(workers).allSatisfy { $0 == 0 })
            let serving = counts.prefix(workers)
            #expect(serving.min()! > 0 && serving.max()! - serving.min()! <= (serving.max()! > 4 ? 1 : 0))
            #expect(counts.reduce(0, +) <= 36)
        }
    }
}
