import Base
import Testing

@Suite struct SharedTests {
    private final class Holder: Sendable {
        let count = SharedCount()
        let rate = SharedRate()
    }

    @Test("as many are taken as there may be, and what is given back can be taken again")
    func count() {
        let count = SharedCount()
        func takes(upTo most: Int) -> Bool { count.take(upTo: most) }
        for _ in 0..<5 { #expect(takes(upTo: 5)) }
        #expect(!takes(upTo: 5) && takes(upTo: 6))
        for _ in 0..<2 { count.giveBack() }
        #expect(takes(upTo: 5) && !takes(upTo: 5) && !takes(upTo: 0))
    }

    @Test("threads that take and give back never have more together, and leave nothing taken")
    func countOfThreads() async {
        let holder = Holder()
        let most = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var most = 0
                    for _ in 0..<20_000 where holder.count.take(upTo: 3) {
                        most = max(most, holder.count.count)
                        holder.count.giveBack()
                    }
                    return most
                }
            }
            return await group.reduce(0, max)
        }
        #expect((1...3).contains(most) && holder.count.count == 0)
    }

    @Test("so many a second, and as many in the next one; an older one gets nothing of its own")
    func rate() {
        let rate = SharedRate()
        let second: UInt64 = 1_000_000_000
        func taken(at now: UInt64) -> Int { (0..<10).count { _ in rate.take(upTo: 4, now: now) } }
        #expect(taken(at: 7 * second) == 4)
        #expect(taken(at: 8 * second - 1) == 0)
        #expect(taken(at: 8 * second) == 4)
        #expect(taken(at: 7 * second) == 0)
        #expect(taken(at: 100 * second) == 4)
    }

    @Test("threads have no more a second together")
    func rateOfThreads() async {
        let holder = Holder()
        let taken = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 { group.addTask { (0..<1000).count { _ in holder.rate.take(upTo: 100, now: 5) } } }
            return await group.reduce(0, +)
        }
        #expect(taken == 100)
    }
}
