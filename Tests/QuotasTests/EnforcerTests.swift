import Base
import Configuration
import Storage
import Testing

@testable import Quotas

@Suite("QuotaEnforcer")
struct EnforcerTests {
    static func hour(_ count: UInt64) -> QuotaSettings { QuotaSettings(count: count, period: .hour) }

    @Test("a quota admits exactly what it says, and again in the next period")
    func quota() throws {
        var bench = try Bench(UsageSettings(quotas: [Self.hour(100)]))
        #expect(bench.admitted(of: 300) == 100)
        let verdict = bench.ask().0
        #expect(verdict.reason == .quota)
        bench.clock.advance(verdict.wait - 1_000_000_000)
        #expect(!bench.ask().0.isAdmitted)
        bench.clock.advance(1_000_000_000)
        #expect(bench.admitted(of: 300) == 100)
    }

    @Test("a clock that steps back does not give a quota anew")
    func clockBack() throws {
        var bench = try Bench(UsageSettings(quotas: [Self.hour(10)]))
        #expect(bench.admitted(of: 20) == 10)
        bench.clock.wall -= 3_600_000_000_000
        #expect(bench.admitted(of: 20) == 0)
        bench.clock.wall += 3_600_000_000_000
        #expect(bench.admitted(of: 20) == 0)
    }

    @Test("all limits that apply are taken, or none")
    func together() throws {
        var bench = try Bench(
            UsageSettings(rates: [RateSettings(count: 10, period: .second, burst: 10)], quotas: [Self.hour(100)]),
            route: UsageSettings(rates: [RateSettings(count: 1, period: .second, burst: 2)], concurrency: 1))
        let (first, admission) = bench.ask()
        #expect(first.isAdmitted)
        #expect(bench.ask().0.reason == .concurrency)
        bench.settle(admission)
        #expect(bench.ask().0.isAdmitted)
        let verdict = bench.ask().0
        #expect(verdict.reason == .rate)
        #expect(verdict.violated == 1 << 16 | 1 << 17)
        let report = bench.limits.report(bench.enforcer, monotonic: bench.clock.monotonic)
        #expect(report.map(\.used) == [2, 2])
        #expect(bench.limits.meter.value(.admitted) == 2)
        #expect(bench.limits.meter.value(.refusedByRate) == 1)
        #expect(bench.limits.meter.value(.refusedByConcurrency) == 1)
        #expect(bench.limits.meter.inFlight == 1)
        #expect(bench.limits.meter.settled == 1)
    }

    @Test("a limit in shadow mode refuses nobody and counts what it would have refused")
    func shadow() throws {
        var bench = try Bench(
            UsageSettings(rates: [RateSettings(count: 1, period: .second, burst: 3, isShadow: true)]))
        #expect(bench.admitted(of: 10) == 10)
        #expect(bench.limits.meter.value(.shadowRefused) == 7)
        #expect(bench.limits.meter.value(.admitted) == 10)
        // What it would have refused has taken nothing from it, as if it had been refused.
        bench.clock.advance(1_000_000_000)
        #expect(bench.admitted(of: 2) == 2)
        #expect(bench.limits.meter.value(.shadowRefused) == 8)
    }

    @Test(
        "what counts against a quota is what `charge` says",
        arguments: [
            (ChargeRule.forwarded, 200, true, false, 1), (.forwarded, 502, true, true, 0), (.forwarded, 502, true, false, 1),
            (.forwarded, 503, false, true, 0), (.forwarded, 504, true, true, 0), (.forwarded, 499, true, false, 1),
            (.forwarded, 499, false, false, 0), (.admitted, 503, false, true, 1),
            (.classes(1 << 2), 200, true, false, 1), (.classes(1 << 2), 404, true, false, 0),
        ])
    func charge(rule: ChargeRule, status: Int, forwarded: Bool, own: Bool, used: UInt64) throws {
        var bench = try Bench(UsageSettings(quotas: [Self.hour(10)], charge: rule))
        let admission = bench.ask().1
        bench.settle(admission, Outcome(status: status, wasForwarded: forwarded, isOwnAnswer: own))
        #expect(bench.limits.report(bench.enforcer, monotonic: bench.clock.monotonic)[0].used == used)
        #expect(bench.limits.meter.value(.cost) == used)
        #expect(bench.limits.meter.settled == 1)
        #expect(bench.limits.meter.inFlight == 0)
    }

    @Test("what a request took in one period is not given back to the next")
    func refundAcrossPeriods() throws {
        var bench = try Bench(UsageSettings(quotas: [Self.hour(10)]))
        let admission = bench.ask().1
        bench.clock.advance(3_600_000_000_000)
        #expect(bench.admitted(of: 3) == 3)
        bench.settle(admission, Outcome(status: 503, wasForwarded: false, isOwnAnswer: true))
        #expect(bench.limits.report(bench.enforcer, monotonic: bench.clock.monotonic)[0].used == 3)
    }

    @Test("the cost that an upstream declares is settled after, in both directions", arguments: [0, 1, 3, 50] as [UInt64])
    func declared(cost: UInt64) throws {
        var bench = try Bench(
            UsageSettings(
                rates: [RateSettings(count: 1, period: .hour, burst: 100)], quotas: [Self.hour(100)], cost: 3))
        let admission = bench.ask().1
        bench.settle(
            admission, Outcome(status: 200, wasForwarded: true, isOwnAnswer: false, declaredCost: cost))
        let report = bench.limits.report(bench.enforcer, monotonic: bench.clock.monotonic)
        #expect(report.map(\.used) == [cost, cost])
        #expect(bench.limits.meter.value(.cost) == cost)
    }

    @Test("requests of a process that leaves count with those of the one that took over, before and after they are moved")
    func leaving() throws {
        var old = try Bench(UsageSettings(concurrency: 3))
        let early = old.ask().1
        var new = try Bench(UsageSettings(concurrency: 3), table: MeterTable(path: old.table.path))
        try old.table.beginLeaving()
        old.enforcer.beginLeaving()
        #expect(new.limits.meter.inFlight == 1)
        old.enforcer.move(early)
        old.table.endLane()
        #expect(new.limits.meter.inFlight == 1)
        #expect(new.limits.meter.value(.inFlight) == 0)
        let late = old.ask().1
        #expect(new.limits.meter.value(.inFlight) == 0)
        #expect(new.admitted(of: 5) == 1)
        #expect(old.ask().0.reason == .concurrency)
        old.settle(early)
        old.settle(late)
        #expect(new.limits.meter.inFlight == 1)
        #expect(new.admitted(of: 5) == 2)
        // A third one, from the lane that is free again.
        let third = try MeterTable(path: old.table.path)
        #expect(third.lane == old.table.lane)
        #expect(new.limits.meter.inFlight == 3)
    }

    @Test("settling twice counts once")
    func twice() throws {
        var bench = try Bench(UsageSettings(concurrency: 1))
        var admission = bench.ask().1
        let outcome = Outcome(status: 200, wasForwarded: true, isOwnAnswer: false, responseBytes: 5)
        bench.enforcer.settle(&admission, outcome, monotonic: bench.clock.monotonic)
        bench.enforcer.settle(&admission, outcome, monotonic: bench.clock.monotonic)
        #expect(bench.limits.meter.inFlight == 0)
        #expect(bench.limits.meter.value(.responseBytes) == 5)
        #expect(bench.limits.meter.settled == 1)
    }

    @Test("responses wait for their bandwidth, after what may go at once")
    func bandwidth() throws {
        var bench = try Bench(UsageSettings(bandwidth: BandwidthSettings(rate: 1000, burst: 500)))
        let admission = bench.ask().1
        #expect(bench.enforcer.pace(admission, bytes: 400, monotonic: bench.clock.monotonic) == 0)
        let wait = bench.enforcer.pace(admission, bytes: 1100, monotonic: bench.clock.monotonic)
        #expect((1_000_000_000...1_002_000_000).contains(wait))
        bench.clock.advance(wait)
        #expect(bench.enforcer.pace(admission, bytes: 1000, monotonic: bench.clock.monotonic) > 990_000_000)
    }

    @Test("who finds no room is told how long requests took until now, shared by those under way")
    func concurrencyRetry() throws {
        var bench = try Bench(UsageSettings(concurrency: 2))
        #expect(bench.ask().0.isAdmitted)
        let (_, second) = bench.ask()
        #expect(bench.ask().0.retryAfter == 1)
        bench.settle(second, Outcome(status: 200, wasForwarded: true, isOwnAnswer: false, upstreamMicroseconds: 9_000_000))
        #expect(bench.ask().0.isAdmitted)
        let refused = bench.ask().0
        #expect(refused.reason == .concurrency)
        #expect(refused.retryAfter == 5)
    }

    @Test("limits hold over an end and a new start")
    func restart() throws {
        let usage = UsageSettings(rates: [RateSettings(count: 1, period: .hour, burst: 10)], quotas: [Self.hour(20)], concurrency: 15)
        let path: String
        do {
            var bench = try Bench(usage)
            path = bench.table.path
            #expect(bench.admitted(of: 8) == 8)
        }
        var bench = try Bench(usage, table: MeterTable(path: path))
        #expect(bench.limits.meter.inFlight == 0)
        #expect(bench.admitted(of: 8) == 2)
    }

    @Test("says what the standard's fields want said")
    func fields() throws {
        var bench = try Bench(
            UsageSettings(
                rates: [RateSettings(count: 10, period: .second, burst: 20)],
                quotas: [Self.hour(100), QuotaSettings(count: 1000, period: .month)], concurrency: 5))
        func text(_ verdict: Verdict, _ admission: Admission) -> String {
            withUnsafeTemporaryAllocation(byteCount: 2048, alignment: 8) { room in
                var out = ByteWriter(room)
                bench.enforcer.writeFields(admission, verdict, monotonic: bench.clock.monotonic, to: &out)
                return String(decoding: out.written, as: UTF8.self)
            }
        }
        let policy =
            "RateLimit-Policy: \"rate-second\";q=20;w=2, \"quota-hour\";q=100;w=3600, "
            + "\"quota-month\";q=1000;w=2592000, \"concurrency\";q=5;qu=\"concurrent-requests\"\r\n"
        let (verdict, admission) = bench.ask()
        #expect(text(verdict, admission) == policy + "RateLimit: \"concurrency\";r=4\r\n")
        bench.settle(admission)
        for _ in 0..<19 { bench.settle(bench.ask().1) }
        let (refused, asked) = bench.ask()
        #expect(
            text(refused, asked) == policy
                + "RateLimit: \"rate-second\";r=0;t=1, \"quota-hour\";r=80, \"quota-month\";r=980, \"concurrency\";r=5\r\n")
        let violated = withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { room in
            var out = ByteWriter(room)
            bench.enforcer.writeViolated(asked, refused, to: &out)
            return String(decoding: out.written, as: UTF8.self)
        }
        #expect(violated == ",\"violated-policies\":[\"rate-second\"]")
    }
}

@Suite("QuotaCalendar")
struct CalendarTests {
    @Test(
        "months begin on the reset day, or on the last day of a shorter month",
        arguments: [
            // 2026-11-23, reset on the 1st: until December 1st.
            (2026, 11, 23, 1, 8, 30), (2026, 11, 23, 23, 30, 30), (2026, 11, 23, 24, 1, 31), (2026, 11, 30, 31, 31, 31),
            (2026, 2, 27, 31, 1, 28), (2026, 2, 28, 31, 31, 31), (2026, 12, 31, 1, 1, 31), (2026, 12, 31, 15, 15, 31),
            (2027, 1, 1, 15, 14, 31), (2028, 2, 29, 30, 30, 30),
        ])
    func months(year: Int, month: Int, day: Int, reset: Int, left: UInt64, length: UInt64) {
        let seconds = Self.seconds(year, month, day)
        let calendar = QuotaCalendar(seconds: seconds)
        #expect(calendar.remaining(.month, resetDay: reset) == left * 86400)
        #expect(calendar.length(.month, resetDay: reset) == length * 86400)
        // The next begins exactly at the end.
        let end = calendar.end(of: .month, resetDay: reset)
        #expect(end * 3600 == seconds + left * 86400)
        #expect(QuotaCalendar(seconds: end * 3600 - 1).end(of: .month, resetDay: reset) == end)
        #expect(QuotaCalendar(seconds: end * 3600).end(of: .month, resetDay: reset) > end)
    }

    static func seconds(_ year: Int, _ month: Int, _ day: Int) -> UInt64 {
        var days = 0
        for y in 1970..<year { days += QuotaCalendar.days(of: 2, y) == 29 ? 366 : 365 }
        for m in 1..<month { days += QuotaCalendar.days(of: m, year) }
        return UInt64(days + day - 1) * 86400
    }
}
