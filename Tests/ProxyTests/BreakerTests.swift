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
        while loops[taken % 4].wait() { taken += 1 }
        #expect(taken == 3 * Limits.waitersPerConnection)
        #expect(loops.allSatisfy { !$0.wait() })
        loops[0].stopWaiting()
        #expect(loops[3].wait() && !loops[2].wait())
    }

    @Test("other limits hold at once, and what is used up stays used up")
    func adopting() {
        var breaker = Breaker(maxConnections: 2, use: UpstreamUse())
        while breaker.mayRetry(now: 0) {}
        while breaker.wait() {}
        breaker.adopt(maxConnections: 5)
        #expect(breaker.maxConnections == 5)
        var more = 0
        while breaker.wait() { more += 1 }
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
}
