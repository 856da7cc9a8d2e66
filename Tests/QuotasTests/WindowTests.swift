import Base
import Configuration
import Storage
import Testing

@testable import Quotas

/// What becomes of a quota's window when clocks or rules change under it.
@Suite("Quota windows") struct WindowTests {
    static let hour: UInt64 = 3_600_000_000_000
    static let day = 24 * hour

    static func bench(_ count: UInt64, _ period: QuotaSettings.Period, resetDay: Int = 1) throws -> Bench {
        try Bench(UsageSettings(quotas: [QuotaSettings(count: count, period: period)], resetDay: resetDay))
    }

    func used(_ bench: Bench) -> UInt64 {
        bench.limits.report(bench.enforcer, monotonic: bench.clock.monotonic)[0].used
    }

    @Test("a clock that was wrong shuts nobody out for longer than the period lasts, and keeps what was used", arguments: [2, 40, 400])
    func clockBack(days: UInt64) throws {
        var bench = try Self.bench(10, .month)
        bench.clock.wall += days * Self.day
        #expect(bench.admitted(of: 12) == 10)
        bench.clock.wall -= days * Self.day
        // The time that is believed has gone back: windows are aligned.
        bench.limits.rules.alignWindows(of: bench.limits.meter, bench.clock.calendar)
        let refused = bench.ask().0
        #expect(refused.reason == .quota)
        #expect(refused.retryAfter == bench.clock.calendar.remaining(.month, resetDay: 1))
        bench.clock.advance(refused.retryAfter * 1_000_000_000 - 1_000_000_000)
        #expect(!bench.ask().0.isAdmitted)
        bench.clock.advance(1_000_000_000)
        #expect(bench.admitted(of: 12) == 10)
    }

    @Test("two loops on both sides of an edge count into one window")
    func edge() throws {
        var bench = try Self.bench(10, .hour)
        bench.clock.advance(Self.hour - 500_000_000)
        #expect(bench.admitted(of: 5) == 5)
        bench.clock.advance(600_000_000)
        #expect(bench.admitted(of: 6) == 6)
        // One whose time is a moment behind.
        bench.clock.wall -= 200_000_000
        #expect(bench.admitted(of: 10) == 4)
        #expect(bench.ask().0.retryAfter == 3601)
        bench.clock.wall += 200_000_000
        #expect(bench.admitted(of: 10) == 0)
    }

    @Test(
        "another reset day keeps what was used, and who is refused gets in when he is told",
        arguments: [(1, 15), (15, 1), (1, 25), (25, 1), (1, 31), (23, 24), (24, 23)])
    func resetDay(before: Int, after: Int) throws {
        var bench = try Self.bench(10, .month, resetDay: before)
        #expect(bench.admitted(of: 7) == 7)
        let old = bench.limits
        bench.change(UsageSettings(quotas: [QuotaSettings(count: 10, period: .month)], resetDay: after))
        #expect(used(bench) == 7)
        // A loop that goes by the old rule for a moment longer changes nothing of it.
        withExtendedLifetime(old) {
            var late = Admission(tenant: old, key: nil, terms: bench.terms)
            #expect(bench.enforcer.reserve(&late, monotonic: bench.clock.monotonic, wall: bench.clock.wall).isAdmitted)
        }
        #expect(bench.admitted(of: 10) == 2)
        let refused = bench.ask().0
        #expect(refused.retryAfter == bench.clock.calendar.remaining(.month, resetDay: after))
        bench.clock.advance((refused.retryAfter - 1) * 1_000_000_000)
        #expect(!bench.ask().0.isAdmitted)
        bench.clock.advance(1_000_000_000)
        #expect(bench.admitted(of: 20) == 10)
    }

    @Test(
        "what was used before the new rule's month began shuts nobody out of it, nor is it given again",
        arguments: [(1, 15), (1, 23), (25, 1), (25, 15), (24, 23), (31, 22)])
    func usedBefore(before: Int, after: Int) throws {
        var bench = try Self.bench(10, .month, resetDay: before)
        // On the day on which the month of the old rule began.
        let old = bench.clock.calendar.window(.month, resetDay: before)
        let since = bench.clock.wall / Self.hour - old.lowerBound
        bench.clock.wall -= since * Self.hour
        #expect(bench.admitted(of: 12) == 10)
        bench.clock.advance(since * Self.hour)
        bench.change(UsageSettings(quotas: [QuotaSettings(count: 10, period: .month)], resetDay: after))
        // It is not known which of it belongs to the new month: the old one goes on until its end, as it was told.
        let refused = bench.ask().0
        #expect(refused.reason == .quota && refused.retryAfter == bench.clock.calendar.remaining(.month, resetDay: before))
        bench.clock.advance(refused.retryAfter * 1_000_000_000 - 1_000_000_000)
        #expect(!bench.ask().0.isAdmitted)
        bench.clock.advance(1_000_000_000)
        #expect(bench.admitted(of: 12) == 10)
        #expect(bench.ask().0.retryAfter == bench.clock.calendar.remaining(.month, resetDay: after))
    }

    @Test("rules that change again and again end the window where the last one says, as long as all was used in it")
    func restless() throws {
        var bench = try Self.bench(10, .month)
        #expect(bench.admitted(of: 10) == 10)
        for day in [23, 24, 1, 15, 31, 2] {
            bench.change(UsageSettings(quotas: [QuotaSettings(count: 10, period: .month)], resetDay: day))
            #expect(bench.ask().0.retryAfter == bench.clock.calendar.remaining(.month, resetDay: day))
        }
    }

    @Test(
        "a clock that was wrong and is set right loses nothing that was used before it, and what was used meanwhile comes to it",
        arguments: [(QuotaSettings.Period.hour, 1), (.day, 1), (.day, 40), (.month, 10), (.month, 40), (.month, 400)])
    func clockBackAgain(period: QuotaSettings.Period, days: Int) throws {
        var bench = try Self.bench(10, period)
        #expect(bench.admitted(of: 4) == 4)
        for _ in 0..<2 {
            bench.clock.wall += UInt64(days) * Self.day
            bench.limits.rules.alignWindows(of: bench.limits.meter, bench.clock.calendar)
            _ = bench.admitted(of: 2)
            bench.clock.wall -= UInt64(days) * Self.day
            bench.limits.rules.alignWindows(of: bench.limits.meter, bench.clock.calendar)
        }
        #expect(bench.admitted(of: 12) == 2)
        #expect(used(bench) == 10)
        #expect(bench.ask().0.retryAfter == bench.clock.calendar.remaining(period, resetDay: 1))
    }

    @Test("a month that goes on by the rule of before is found again when the clock is set right")
    func clockBackToOldRule() throws {
        var bench = try Self.bench(10, .month)
        bench.clock.wall -= 20 * Self.day
        #expect(bench.admitted(of: 4) == 4)
        bench.clock.wall += 20 * Self.day
        bench.change(UsageSettings(quotas: [QuotaSettings(count: 10, period: .month)], resetDay: 20))
        #expect(bench.admitted(of: 2) == 2)
        bench.clock.wall += 40 * Self.day
        #expect(bench.admitted(of: 12) == 10)
        bench.clock.wall -= 40 * Self.day
        bench.limits.rules.alignWindows(of: bench.limits.meter, bench.clock.calendar)
        #expect(bench.ask().0.retryAfter == bench.clock.calendar.remaining(.month, resetDay: 1))
    }

    @Test("a window that was over is not taken into a new rule")
    func stale() throws {
        var bench = try Self.bench(10, .month)
        #expect(bench.admitted(of: 10) == 10)
        bench.clock.advance(60 * Self.day)
        bench.change(UsageSettings(quotas: [QuotaSettings(count: 10, period: .month)], resetDay: 15))
        #expect(bench.admitted(of: 20) == 10)
    }

    @Test("what is given back or charged after a change of the rule goes where it was taken")
    func settledLater() throws {
        var bench = try Self.bench(100, .month)
        let first = bench.ask().1
        let second = bench.ask().1
        let before = (bench.limits, bench.terms)
        defer { withExtendedLifetime(before) {} }
        bench.change(UsageSettings(quotas: [QuotaSettings(count: 100, period: .month)], resetDay: 25))
        bench.settle(first, Outcome(status: 503, wasForwarded: false, isOwnAnswer: true))
        #expect(used(bench) == 1)
        bench.settle(second, Outcome(status: 200, wasForwarded: true, isOwnAnswer: false, declaredCost: 20))
        #expect(used(bench) == 20)
    }

    @Test("what a request turns out to have cost is not charged to a window that it was not admitted in")
    func chargedLater() throws {
        var bench = try Self.bench(100, .hour)
        let admission = bench.ask().1
        bench.clock.advance(Self.hour)
        #expect(bench.admitted(of: 1) == 1)
        bench.settle(admission, Outcome(status: 200, wasForwarded: true, isOwnAnswer: false, declaredCost: 50))
        #expect(used(bench) == 1)
    }

    @Test("windows that an earlier version numbered go on")
    func upgrade() throws {
        for (period, number) in [(QuotaSettings.Period.day, UInt64(20_780)), (.month, 56 * 12 + 10)] {
            var bench = try Self.bench(10, period)
            bench.limits.meter.store(number << 40 | 7, to: .window(period.rawValue))
            bench.change(bench.limits.usage)
            #expect(bench.admitted(of: 20) == 3)
        }
    }
}
