import Testing

@testable import Base

/// Two clocks that tests set.
private struct Clocks {
    static let second: UInt64 = 1_000_000_000
    /// 2026-11-30T23:59:00Z
    static let start: UInt64 = 1_796_083_140 * second
    var now = Moment(monotonic: 5000 * second, wall: start)
    var trusted: TrustedTime

    init() { trusted = TrustedTime(now) }

    /// A second goes by at a time, as long as it is told to.
    mutating func pass(_ seconds: Int) -> [TrustedTime.Event] {
        (0..<seconds).compactMap { _ in
            now.monotonic += Self.second
            now.wall += Self.second
            return trusted.observe(now)
        }
    }

    mutating func jump(_ seconds: Int) { now.wall = UInt64(Int64(now.wall) + Int64(seconds) * 1_000_000_000) }
    var time: UInt64 { trusted.time(at: now.monotonic) }
}

@Suite("Trusted time") struct TrustedTimeTests {
    @Test("two clocks that agree are believed")
    func agreement() {
        var clocks = Clocks()
        #expect(clocks.pass(1000) == [])
        #expect(clocks.time == clocks.now.wall && !clocks.trusted.isDoubtful && clocks.trusted.jumps == 0)
    }

    @Test(
        "a jump and back does not move it, whatever comes in between",
        arguments: [(1, 1), (2, 30), (-2, 30), (86_400, 2), (-86_400, 2), (31 * 86_400, 599), (-3600, 599), (40 * 365 * 86_400, 5)])
    func thereAndBack(seconds: Int, duration: Int) {
        var clocks = Clocks()
        _ = clocks.pass(10)
        clocks.jump(seconds)
        #expect(clocks.pass(duration) == [.jumped(Int64(seconds) * 1_000_000_000)])
        #expect(clocks.trusted.isDoubtful)
        #expect(clocks.time == Clocks.start + UInt64(10 + duration) * Clocks.second)
        clocks.jump(-seconds)
        #expect(clocks.pass(5) == [.returned])
        #expect(!clocks.trusted.isDoubtful && clocks.trusted.jumps == 1)
        #expect(clocks.time == clocks.now.wall)
    }

    @Test("a clock that stands by what it says is believed", arguments: [3600, -3600, 86_400 * 400, -1])
    func correction(seconds: Int) {
        var clocks = Clocks()
        clocks.jump(seconds)
        let nanoseconds = Int64(seconds) * 1_000_000_000
        #expect(clocks.pass(600) == [.jumped(nanoseconds)])
        #expect(clocks.trusted.isDoubtful && clocks.time != clocks.now.wall)
        #expect(clocks.pass(1) == [.believed(nanoseconds)])
        #expect(!clocks.trusted.isDoubtful && clocks.time == clocks.now.wall)
    }

    @Test("one that jumps on is believed later, and each jump is counted")
    func restless() {
        var clocks = Clocks()
        for _ in 0..<5 {
            clocks.jump(100)
            #expect(clocks.pass(500).count == 1)
            #expect(clocks.trusted.isDoubtful)
        }
        #expect(clocks.trusted.jumps == 5)
        #expect(clocks.time == Clocks.start + 2500 * Clocks.second)
    }

    @Test("small differences are made up for by and by, and nobody speaks of a jump")
    func slew() {
        var clocks = Clocks()
        clocks.now.wall += 150_000_000
        #expect(clocks.pass(100) == [])
        #expect(clocks.now.wall - clocks.time == 50_000_000)
        #expect(clocks.pass(100) == [] && clocks.now.wall == clocks.time)
    }

    @Test("a new start in the same boot goes on by what was known, however the clock stands")
    func restart() {
        var clocks = Clocks()
        _ = clocks.pass(10)
        clocks.now.monotonic += 30 * Clocks.second
        clocks.now.wall += 30 * Clocks.second
        clocks.jump(31 * 86_400)
        clocks.trusted = TrustedTime(clocks.now, goingOn: clocks.trusted.offset)
        #expect(clocks.pass(1).count == 1)
        #expect(clocks.trusted.isDoubtful && clocks.time == Clocks.start + 41 * Clocks.second)
    }

    @Test("after a boot the clock is believed and nothing ended until it has stood by what it says; never before what was")
    func boot() {
        var clocks = Clocks()
        clocks.now = Moment(monotonic: Clocks.second, wall: Clocks.start + 500 * Clocks.second)
        clocks.trusted = TrustedTime(clocks.now, after: Clocks.start)
        #expect(clocks.time == clocks.now.wall && clocks.trusted.isDoubtful)
        #expect(clocks.pass(600) == [.believed(0)])
        #expect(!clocks.trusted.isDoubtful && clocks.trusted.jumps == 0)
        clocks.now = Moment(monotonic: Clocks.second, wall: 100 * Clocks.second)
        clocks.trusted = TrustedTime(clocks.now, after: Clocks.start)
        _ = clocks.pass(300)
        #expect(clocks.time == Clocks.start + 300 * Clocks.second && clocks.trusted.isDoubtful)
    }

    /// After a boot that took a minute.
    private func booted(ahead seconds: Int) -> Clocks {
        var clocks = Clocks()
        clocks.now = Moment(monotonic: Clocks.second, wall: Clocks.start + 60 * Clocks.second)
        clocks.jump(seconds)
        clocks.trusted = TrustedTime(clocks.now, after: Clocks.start)
        return clocks
    }

    @Test("a clock that is far ahead at a boot is not gone by until it has stood by it", arguments: [25 * 3600, 40 * 86_400])
    func bootAhead(seconds: Int) {
        var clocks = booted(ahead: seconds)
        #expect(clocks.trusted.isStarting && clocks.pass(590) == [])
        #expect(clocks.time == Clocks.start + 590 * Clocks.second && clocks.trusted.isDoubtful)
        #expect(clocks.pass(10) == [.believed(Int64(seconds + 60) * 1_000_000_000)])
        #expect(clocks.time == clocks.now.wall && !clocks.trusted.isDoubtful && !clocks.trusted.isStarting)
    }

    @Test(
        "one that is set right soon after a boot has moved nothing, and what is counted waits for the right time",
        arguments: [30 * 60, 10 * 3600, 40 * 86_400, -3600])
    func bootMended(seconds: Int) {
        var clocks = booted(ahead: seconds)
        #expect(clocks.pass(3) == [])
        clocks.jump(-seconds)
        #expect(clocks.pass(600).count == 1)
        #expect(clocks.trusted.isStarting && clocks.time == clocks.now.wall)
        // Before it was believed nothing went by more than was known.
        #expect(clocks.trusted.known(at: clocks.now.monotonic) == Clocks.start + 603 * Clocks.second)
        #expect(clocks.pass(1).count == 1)
        #expect(!clocks.trusted.isStarting && !clocks.trusted.isDoubtful && clocks.time == clocks.now.wall)
        #expect(clocks.trusted.known(at: clocks.now.monotonic) == clocks.time)
    }

    @Test("a clock that was never set is never believed, after a boot or in the middle of it")
    func neverSet() {
        var clocks = Clocks()
        clocks.now = Moment(monotonic: Clocks.second, wall: 300 * Clocks.second)
        clocks.trusted = TrustedTime(clocks.now, after: Clocks.start)
        #expect(clocks.pass(4000) == [.unset])
        #expect(clocks.trusted.isDoubtful && !clocks.trusted.isStarting)
        #expect(clocks.time == Clocks.start + 4000 * Clocks.second)
        clocks.now.wall = Clocks.start + 4100 * Clocks.second
        #expect(clocks.pass(700).count == 2)
        #expect(clocks.time == clocks.now.wall && !clocks.trusted.isDoubtful)
        clocks.now.wall = 300 * Clocks.second
        #expect(clocks.pass(4000).count == 1)
        #expect(clocks.trusted.isDoubtful && clocks.time == Clocks.start + 8800 * Clocks.second)
    }

    @Test("nor is it at the very first start")
    func firstStart() {
        var clocks = Clocks()
        clocks.now = Moment(monotonic: Clocks.second, wall: 300 * Clocks.second)
        clocks.trusted = TrustedTime(clocks.now)
        #expect(clocks.trusted.isStarting && clocks.time == TrustedTime.least)
        clocks.now.wall = Clocks.start
        #expect(clocks.pass(601).count == 2)
        #expect(clocks.time == clocks.now.wall)
    }

    @Test("a new start in a boot of which nothing is believed yet goes on as the one before")
    func restartInDoubt() {
        var clocks = booted(ahead: 40 * 86_400)
        #expect(clocks.pass(400) == [])
        clocks.trusted = TrustedTime(clocks.now, goingOn: clocks.trusted.state)
        #expect(clocks.trusted.isStarting && clocks.time == Clocks.start + 400 * Clocks.second)
        #expect(clocks.pass(199) == [] && clocks.pass(1).count == 1)
        #expect(clocks.time == clocks.now.wall)
    }

    @Test("a clock that finds no rest after a boot is not waited for for ever")
    func restlessBoot() {
        var clocks = booted(ahead: 86_400 * 30)
        for _ in 0..<11 {
            #expect(clocks.pass(300).count < 2)
            #expect(clocks.trusted.isStarting)
            clocks.jump(86_400)
        }
        #expect(clocks.pass(300).last == .unset)
        #expect(!clocks.trusted.isStarting && clocks.trusted.isDoubtful)
        #expect(clocks.time == Clocks.start + 3600 * Clocks.second)
    }
}
