import Testing

@testable import Proxy

@Suite struct StandingTests {
    private let second: UInt64 = 1_000_000_000

    @Test("an address that nothing is known of does not rest")
    func unknown() { #expect(!Standing().rests(at: 0)) }

    @Test("each failed connect in a row doubles the rest, up to half a minute", arguments: [Standing.Failure.refused, .silent])
    func rest(failure: Standing.Failure) {
        var standing = Standing()
        var now = 7 * second
        for half in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            standing.failed(failure, at: now)
            let rest = UInt64(half) * second / 2
            #expect(
                standing.rests(at: now) && standing.rests(at: now + rest - 1) && !standing.rests(at: now + rest),
                "\(half)")
            now += rest + second
        }
    }

    @Test("a connection ends the rest, and the next one is short again")
    func recovery() {
        var standing = Standing()
        for _ in 0..<5 { standing.failed(.refused, at: second) }
        standing.reached(at: second)
        #expect(!standing.rests(at: second))
        standing.failed(.refused, at: second)
        #expect(standing.rests(at: second) && !standing.rests(at: second + second / 2))
    }

    @Test("silence rests nobody who has just been heard of, a refusal does")
    func silence() {
        for hear in [{ $0.reached(at: 100 * second) }, { $0.answered(at: 100 * second) }] as [(inout Standing) -> Void] {
            var standing = Standing()
            hear(&standing)
            standing.failed(.silent, at: 100 * second + Standing.fresh - 1)
            #expect(!standing.rests(at: 100 * second + Standing.fresh - 1))
            standing.failed(.silent, at: 100 * second + Standing.fresh)
            #expect(standing.rests(at: 100 * second + Standing.fresh))
            var other = Standing()
            hear(&other)
            other.failed(.refused, at: 100 * second)
            #expect(other.rests(at: 100 * second))
        }
    }

    @Test("an answer on a kept connection says nothing of connecting: who rests goes on to")
    func answers() {
        var standing = Standing()
        standing.failed(.refused, at: second)
        standing.answered(at: second)
        #expect(standing.rests(at: second + second / 2 - 1))
    }

    @Test("any number of failures is survived")
    func many() {
        var standing = Standing()
        var now = second
        for _ in 0..<100_000 {
            now = max(now, standing.restsUntil)
            standing.failed(.refused, at: now)
        }
        #expect(standing.restsUntil == now + Standing.restMax)
    }

    @Test("those that fail together are one failure")
    func together() {
        var standing = Standing()
        for _ in 0..<40 { standing.failed(.silent, at: second) }
        #expect(standing.restsUntil == second + Standing.rest)
    }
}
