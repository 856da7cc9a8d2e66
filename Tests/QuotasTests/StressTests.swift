import Configuration
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Quotas

/// Many threads on the same slots. Run with `swift test --sanitize=thread --filter Stress` now and then.
@Suite("Stress")
struct StressTests {
    /// What threads hand to each other in these tests.
    private final class Tally: Sendable {
        let admitted = Atomic<UInt64>(0)
        let highest = Atomic<UInt64>(0)
    }

    private func run(_ threads: Int, _ body: @escaping @Sendable (Int) -> Void) {
        DispatchQueue.concurrentPerform(iterations: threads, execute: body)
    }

    @Test("a quota of 10,000 under 16 parallel floods admits exactly 10,000")
    func quotaIsExact() throws {
        let bench = try Bench(UsageSettings(quotas: [QuotaSettings(count: 10_000, period: .month)]))
        let (table, limits, terms, clock) = (bench.table, bench.limits, bench.terms, bench.clock)
        let tally = Tally()
        run(16) { _ in
            var enforcer = QuotaEnforcer(table: table, wall: clock.wall)
            for _ in 0..<2000 {
                var admission = Admission(tenant: limits, key: nil, terms: terms)
                guard enforcer.reserve(&admission, monotonic: clock.monotonic, wall: clock.wall).isAdmitted else { continue }
                tally.admitted.add(1, ordering: .relaxed)
                enforcer.settle(
                    &admission, Outcome(status: 200, wasForwarded: true, isOwnAnswer: false), monotonic: clock.monotonic)
            }
        }
        #expect(tally.admitted.load(ordering: .relaxed) == 10_000)
        #expect(limits.meter.value(.admitted) == 10_000)
        #expect(limits.meter.settled == 10_000)
        #expect(limits.meter.inFlight == 0)
    }

    @Test("rates, quotas and concurrency together: none is ever passed, and all that was taken is given back")
    func together() throws {
        var usage = UsageSettings(
            rates: [RateSettings(count: 1, period: .second, burst: 20_000)],
            quotas: [QuotaSettings(count: 30_000, period: .month)], concurrency: 3)
        usage.charge = .classes(1 << 2)
        var route = UsageSettings(rates: [RateSettings(count: 1, period: .second, burst: 5000)], concurrency: 2)
        route.charge = usage.charge
        let bench = try Bench(usage, route: route)
        let (table, limits, clock) = (bench.table, bench.limits, bench.clock)
        let routed = bench.terms
        let plain = Terms(usage, limits: nil)
        let tally = Tally()
        run(8) { thread in
            var random = SeededGenerator(state: UInt64(thread))
            var enforcer = QuotaEnforcer(table: table, wall: clock.wall)
            for _ in 0..<8000 {
                let terms = Bool.random(using: &random) ? routed : plain
                var admission = Admission(tenant: limits, key: nil, terms: terms)
                guard enforcer.reserve(&admission, monotonic: clock.monotonic, wall: clock.wall).isAdmitted else { continue }
                tally.admitted.add(1, ordering: .relaxed)
                tally.highest.max(limits.meter.inFlight, ordering: .relaxed)
                enforcer.settle(
                    &admission, Outcome(status: 404, wasForwarded: true, isOwnAnswer: false), monotonic: clock.monotonic)
            }
        }
        let admitted = tally.admitted.load(ordering: .relaxed)
        #expect(admitted <= 20_000)
        #expect(tally.highest.load(ordering: .relaxed) <= 3)
        #expect(limits.meter.value(.admitted) == admitted)
        #expect(limits.meter.inFlight == 0)
        #expect(routed.limits!.meter.inFlight == 0)
        let report = limits.report(QuotaEnforcer(table: table, wall: clock.wall), monotonic: clock.monotonic)
        #expect(report.map(\.used) == [admitted, 0, 0])
    }
}
