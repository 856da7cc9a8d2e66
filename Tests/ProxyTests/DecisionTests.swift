import Base
import Crypto
import TestSupport
import Testing

@testable import Proxy

@Suite struct DecisionTests {
    private let second: UInt64 = 1_000_000_000

    private func digest(_ number: Int) -> Digest256 { SHA256.digest(Array("\(number)".utf8)) }

    private func decision(_ size: Int = 0, until: UInt64 = .max) -> Decision {
        Decision(status: 200, toUpstream: Array(repeating: 0, count: size), until: until)
    }

    @Test("answers are found until their time is over, and no longer")
    func time() {
        var cache = DecisionCache(sizeMax: 10_000)
        cache.insert(decision(until: 100), for: digest(1), now: 0)
        #expect(cache.find(digest(1), now: 99) != nil && cache.find(digest(2), now: 99) == nil)
        #expect(cache.find(digest(1), now: 100) == nil)
        #expect(cache.count == 0 && cache.size == 0)
        cache.insert(decision(until: 100), for: digest(1), now: 100)
        #expect(cache.count == 0)
    }

    @Test("who is asked for stays, who is not leaves, and the newest is never the first to go")
    func order() {
        var cache = DecisionCache(sizeMax: 10 * decision(100).size)
        for number in 0..<10 { cache.insert(decision(100), for: digest(number), now: 0) }
        #expect(cache.count == 10)
        for number in 10..<1000 {
            #expect(cache.find(digest(3), now: 0) != nil)
            cache.insert(decision(100), for: digest(number), now: 0)
            #expect(cache.find(digest(number), now: 0) != nil || number == 3)
            #expect(cache.count == 10)
        }
        // Of those that nobody asks for the oldest leave.
        cache = DecisionCache(sizeMax: 10 * decision(100).size)
        for number in 0..<100 { cache.insert(decision(100), for: digest(number), now: 0) }
        #expect((0..<100).filter { cache.find(digest($0), now: 0) != nil } == Array(90..<100))
    }

    @Test("one must not cost all others, and takes the place of what it was before")
    func large() {
        var cache = DecisionCache(sizeMax: 10_000)
        for number in 0..<5 { cache.insert(decision(), for: digest(number), now: 0) }
        cache.insert(decision(5_000), for: digest(9), now: 0)
        #expect(cache.count == 5 && cache.find(digest(9), now: 0) == nil)
        for _ in 0..<100 { cache.insert(decision(100), for: digest(1), now: 0) }
        #expect(cache.count == 5)
        // What is too large now is not what it was.
        cache.insert(decision(5_000), for: digest(1), now: 0)
        #expect(cache.find(digest(1), now: 0) == nil && cache.count == 4)
    }

    @Test("whatever comes, no more memory than it may take, and what is found is what was kept")
    func model() {
        var random = SeededGenerator(state: 7)
        var cache = DecisionCache(sizeMax: 20_000)
        var model: [Int: Decision] = [:]
        for now in 0..<UInt64(20_000) {
            let number = Int.random(in: 0..<60, using: &random)
            if Bool.random(using: &random) {
                let made = decision(Int.random(in: 0..<6_000, using: &random), until: now + UInt64.random(in: 0..<200, using: &random))
                cache.insert(made, for: digest(number), now: now)
                model[number] = made
            } else if let found = cache.find(digest(number), now: now) {
                #expect(found === model[number] && found.until > now)
            }
            #expect(cache.size <= 20_000)
        }
    }

    // MARK: Breaker

    @Test("it opens after so many failures in a row, lets one try, and is left alone for longer each time")
    func opening() {
        var breaker = DecisionBreaker()
        for _ in 0..<(Limits.decisionFailures - 1) { #expect(breaker.failed(asTry: false, now: 0) == nil) }
        _ = breaker.succeeded()
        for _ in 0..<(Limits.decisionFailures - 1) { #expect(breaker.failed(asTry: false, now: 0) == nil) }
        #expect(breaker.leave(now: 0) == .asks)
        #expect(breaker.failed(asTry: false, now: 0) == second)
        #expect(breaker.isOpen && breaker.leave(now: second - 1) == .no)
        // What was under way says nothing new.
        #expect(breaker.failed(asTry: false, now: second - 1) == nil)
        #expect(breaker.leave(now: second) == .tries && breaker.leave(now: second) == .no)
        #expect(breaker.failed(asTry: true, now: second) == 2 * second)
        #expect(breaker.leave(now: 3 * second - 1) == .no && breaker.leave(now: 3 * second) == .tries)
        // Who tries and leaves is replaced.
        breaker.abandoned()
        #expect(breaker.leave(now: 3 * second) == .tries)
        var now = 3 * second
        for _ in 0..<100 {
            let pause = breaker.failed(asTry: true, now: now)
            #expect(pause ?? .max <= Limits.decisionPauseMaxNanoseconds)
            now += pause ?? 0
            #expect(breaker.leave(now: now) == .tries)
        }
        #expect(breaker.succeeded() && !breaker.isOpen && breaker.leave(now: now) == .asks)
    }
}
