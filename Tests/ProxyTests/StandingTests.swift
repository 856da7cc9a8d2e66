import Testing

@testable import Proxy

@Suite struct StandingTests {
    private let second: UInt64 = 1_000_000_000

    @Test("a server that nothing is known of does not rest")
    func unknown() { #expect(!Standing().rests(at: 0)) }

    @Test("each failed connect in a row doubles the rest, up to half a minute")
    func rest() {
        var standing = Standing()
        var now = 7 * second
        for half in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            standing.record(.unreachable, at: now)
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
        for _ in 0..<5 { standing.record(.unreachable, at: second) }
        standing.reached()
        #expect(!standing.rests(at: second))
        standing.record(.unreachable, at: second)
        #expect(!standing.rests(at: second + second / 2))
    }

    @Test("what comes after a connection stands says nothing of connecting")
    func others() {
        for outcome in [
            AttemptOutcome.answered(200), .answered(503), .answered(101), .timedOut, .cut, .malformed, .abandoned,
            .nameless,
        ] {
            var standing = Standing()
            standing.record(outcome, at: second)
            #expect(!standing.rests(at: second), "\(outcome)")
            standing.record(.unreachable, at: second)
            standing.record(outcome, at: second)
            #expect(standing.rests(at: second + second / 2 - 1), "\(outcome)")
        }
    }

    @Test("any number of failures is survived")
    func many() {
        var standing = Standing()
        for _ in 0..<100_000 { standing.record(.unreachable, at: second) }
        #expect(standing.rests(at: 30 * second) && !standing.rests(at: 31 * second))
    }
}
