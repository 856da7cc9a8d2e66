import Base
import Testing

@testable import Proxy

@Suite struct BreakerTests {
    private let second: UInt64 = 1_000_000_000

    @Test("so many wait for each connection and no more, on all loops together")
    func waiting() {
        let use = UpstreamUse()
        let loops = (0..<4).map { _ in Breaker(maxConnections: 3, use: use) }
        var taken = 0
        while loops[taken % 4].wait(upTo: loops[0].lineSize()) { taken += 1 }
        #expect(taken == 3 * Limits.waitersPerConnection)
        #expect(loops.allSatisfy { !$0.wait(upTo: $0.lineSize()) })
        loops[0].stopWaiting()
        #expect(loops[3].wait(upTo: loops[3].lineSize()) && !loops[2].wait(upTo: loops[2].lineSize()))
    }

    @Test("other limits hold at once, and what is used up stays used up")
    func adopting() {
        var breaker = Breaker(maxConnections: 2, use: UpstreamUse())
        while breaker.mayRetry(now: 0) {}
        while breaker.wait(upTo: breaker.lineSize()) {}
        breaker.adopt(maxConnections: 5)
        #expect(breaker.maxConnections == 5)
        var more = 0
        while breaker.wait(upTo: breaker.lineSize()) { more += 1 }
        #expect(more == 3 * Limits.waitersPerConnection)
        #expect(!breaker.mayRetry(now: 0))
    }

    @Test("requests of all loops earn retries for all of them")
    func earning() {
        let use = UpstreamUse()
        var loops = (0..<4).map { _ in Breaker(maxConnections: 3, use: use) }
        while loops[0].mayRetry(now: 0) {}
        for number in 0..<100 { loops[number % 4].enter() }
        var spent = 0
        while loops[3].mayRetry(now: 0) { spent += 1 }
        #expect(spent == 20)
    }

    // MARK: Retries

    @Test("ten retries to begin with, and then one for five requests")
    func shareOfRequests() {
        let budget = RetryBudget()
        var spent = 0
        while budget.spend(now: 0) { spent += 1 }
        #expect(spent == 10)
        spent = 0
        var earnings = RetryBudget.Earnings()
        for _ in 0..<1_000 {
            earnings.earn(for: budget)
            if budget.spend(now: 0) { spent += 1 }
        }
        #expect(spent == 200)
    }

    @Test("at most a hundred are saved")
    func most() {
        let budget = RetryBudget()
        for _ in 0..<10_000 { budget.earn(5) }
        var spent = 0
        while budget.spend(now: 0) { spent += 1 }
        #expect(spent == 100)
    }

    @Test("ten a second without many requests, however long it was quiet")
    func quiet() {
        let budget = RetryBudget()
        while budget.spend(now: 0) {}
        for step in 1...10 {
            var spent = 0
            while budget.spend(now: UInt64(step) * second) { spent += 1 }
            #expect(spent == 10)
        }
        var spent = 0
        while budget.spend(now: 1_000 * second) { spent += 1 }
        #expect(spent == 10)
    }

    @Test("asking often brings no more than asking seldom")
    func often() {
        let budget = RetryBudget()
        while budget.spend(now: 0) {}
        var spent = 0
        for step in 1...10_000 where budget.spend(now: UInt64(step) * second / 1_000) { spent += 1 }
        #expect((90...100).contains(spent), "\(spent) in ten seconds")
    }

    @Test("a tenant whose requests all fail leaves the others their retries")
    func tenants() {
        let budget = RetryBudget()
        // Of three tags whose classes are not the same one.
        let (greedy, modest, other): (UInt32, UInt32, UInt32) = (3, 5, 7)
        var had: [UInt32: Int] = [:]
        for step in 0..<10_000 {
            let now = 5 * second + UInt64(step) * second / 1_000
            if budget.spend(for: greedy, now: now) { had[greedy, default: 0] += 1 }
            if step % 400 == 399, budget.spend(for: modest, now: now) { had[modest, default: 0] += 1 }
            if step % 500 == 499, budget.spend(for: other, now: now) { had[other, default: 0] += 1 }
        }
        #expect(had[modest] == 25 && had[other] == 20, "\(had)")
        #expect((55...80).contains(had[greedy] ?? 0), "\(had)")
    }

    @Test("tenants whose requests all fail have as many retries as each other, whoever asks how often")
    func equals() {
        let budget = RetryBudget()
        var had = [0, 0]
        for step in 0..<10_000 {
            let now = 5 * second + UInt64(step) * second / 1_000
            if budget.spend(for: 3, now: now) { had[0] += 1 }
            if step % 20 == 0, budget.spend(for: 5, now: now) { had[1] += 1 }
        }
        #expect(had[1] >= 40 && had[0] + had[1] <= 120, "\(had)")
    }
}
