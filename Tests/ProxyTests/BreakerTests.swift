import Base
import Testing

@testable import Proxy

@Suite struct BreakerTests {
    private let second: UInt64 = 1_000_000_000

    @Test("loops share the connections, and each has one")
    func share() {
        for (most, loops, share) in [(256, 2, 128), (5, 2, 2), (1, 1, 1), (1, 8, 1), (3, 4, 1)] {
            let breaker = Breaker(maxConnections: most, loops: loops)
            #expect(breaker.mayConnect(open: share - 1) && !breaker.mayConnect(open: share), "\(most) for \(loops)")
        }
    }

    @Test("so many wait for each connection and no more")
    func waiting() {
        let breaker = Breaker(maxConnections: 3, loops: 1)
        #expect(breaker.mayWait(waiting: 3 * Limits.waitersPerConnection - 1))
        #expect(!breaker.mayWait(waiting: 3 * Limits.waitersPerConnection))
    }

    @Test("other limits hold at once, and what is used up stays used up")
    func adopting() {
        var breaker = Breaker(maxConnections: 2, loops: 2)
        while breaker.mayRetry(now: 0) {}
        breaker.adopt(maxConnections: 10, loops: 2)
        #expect(breaker.mayConnect(open: 4) && !breaker.mayConnect(open: 5))
        #expect(breaker.mayWait(waiting: 5 * Limits.waitersPerConnection - 1))
        let another = breaker.mayRetry(now: 0)
        #expect(!another)
    }

    // MARK: Retries

    @Test("ten retries to begin with, and then one for five requests")
    func shareOfRequests() {
        var budget = RetryBudget()
        var spent = 0
        while budget.spend(now: 0) { spent += 1 }
        #expect(spent == 10)
        spent = 0
        for _ in 0..<1_000 {
            budget.earn()
            if budget.spend(now: 0) { spent += 1 }
        }
        #expect(spent == 200)
    }

    @Test("at most a hundred are saved")
    func most() {
        var budget = RetryBudget()
        for _ in 0..<10_000 { budget.earn() }
        var spent = 0
        while budget.spend(now: 0) { spent += 1 }
        #expect(spent == 100)
    }

    @Test("ten a second without many requests, however long it was quiet")
    func quiet() {
        var budget = RetryBudget()
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
        var budget = RetryBudget()
        while budget.spend(now: 0) {}
        var spent = 0
        for step in 1...10_000 where budget.spend(now: UInt64(step) * second / 1_000) { spent += 1 }
        #expect((90...100).contains(spent), "\(spent) in ten seconds")
    }
}
