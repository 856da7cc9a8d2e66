import Base
import Configuration
import Storage
import TestSupport
import Testing

@testable import Quotas

/// What the limits mean, said as simply as possible: levels that fill, counts by the calendar's own names, a list of
/// who is in. No bit tricks, no atomics.
private struct Reference {
    struct Level {
        var usage: UsageSettings
        /// Ticks' worth of tokens in each bucket.
        var buckets: [UInt64]
        var filled: UInt64
        var used: [String: UInt64] = [:]
        var inFlight = 0

        init(_ usage: UsageSettings, now: UInt64) {
            self.usage = usage
            buckets = usage.rates.map { $0.burst * Self.interval($0) }
            filled = now
        }

        static func interval(_ rate: RateSettings) -> UInt64 { rate.length * 16 / rate.count }

        mutating func fill(_ now: UInt64) {
            for (i, rate) in usage.rates.enumerated() {
                buckets[i] = min(buckets[i] + (now - filled), rate.burst * Self.interval(rate))
            }
            filled = now
        }

        func names(_ wall: UInt64) -> [String] {
            let t = CivilTime(secondsSince1970: Int(wall / 1_000_000_000))
            return usage.quotas.map {
                switch $0.period {
                case .hour: "\(t.year)-\(t.month)-\(t.day) \(t.hour)"
                case .day: "\(t.year)-\(t.month)-\(t.day)"
                case .month: "\(t.year)-\(t.month)"
                }
            }
        }

        func allows(_ cost: UInt64, _ wall: UInt64) -> Bool {
            for (i, rate) in usage.rates.enumerated() where buckets[i] < min(cost, rate.burst) * Self.interval(rate) { return false }
            for (quota, name) in zip(usage.quotas, names(wall)) where used[name, default: 0] + cost > quota.count { return false }
            return inFlight < Int(usage.concurrency?.count ?? .max / 2)
        }

        mutating func take(_ cost: UInt64, _ wall: UInt64) {
            for (i, rate) in usage.rates.enumerated() { buckets[i] -= cost * Self.interval(rate) }
            for name in names(wall) { used[name, default: 0] += cost }
            inFlight += 1
        }
    }

    var tenant: Level
    var route: Level

    mutating func ask(_ viaRoute: Bool, _ now: UInt64, _ wall: UInt64) -> Bool {
        tenant.fill(now)
        route.fill(now)
        let cost: UInt64 = viaRoute ? route.usage.cost : tenant.usage.cost
        guard tenant.allows(cost, wall), !viaRoute || route.allows(cost, wall) else { return false }
        tenant.take(cost, wall)
        if viaRoute { route.take(cost, wall) }
        return true
    }
}

@Suite("Limits against a simple reference")
struct ModelTests {
    /// Steps in all; a tenth of them for each of ten seeds.
    static let steps = 1_000_000

    @Test("random requests, ends, refunds and times: every verdict and every count is the reference's", arguments: 1...10 as ClosedRange<UInt64>)
    func agrees(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        // Intervals of whole ticks, so that both sides reckon exactly.
        func rate() -> RateSettings {
            let count = [1, 2, 5, 10, 100, 1000].randomElement(using: &random)! as UInt64
            let period: RateSettings.Period = [.second, .minute].randomElement(using: &random)!
            return RateSettings(count: count, period: period, burst: .random(in: 5...50, using: &random))
        }
        let tenantUsage = UsageSettings(
            rates: [rate(), rate()],
            quotas: [
                QuotaSettings(count: .random(in: 50...2000, using: &random), period: .hour),
                QuotaSettings(count: .random(in: 500...20000, using: &random), period: .day),
                QuotaSettings(count: .random(in: 5000...200_000, using: &random), period: .month),
            ], concurrency: .random(in: 2...20, using: &random))
        var routeUsage = UsageSettings(
            rates: [rate()], quotas: [QuotaSettings(count: .random(in: 100...3000, using: &random), period: .day)],
            concurrency: .random(in: 1...5, using: &random))
        routeUsage.cost = .random(in: 0...4, using: &random)
        var bench = try Bench(tenantUsage, route: routeUsage)
        let routed = bench.terms
        let plain = Terms(tenantUsage, limits: nil)
        let start = bench.table.time.ticks(monotonic: bench.clock.monotonic)
        var model = Reference(
            tenant: .init(tenantUsage, now: start), route: .init(routeUsage, now: start))
        var open: [(admission: Admission, viaRoute: Bool, wall: UInt64)] = []
        var (admitted, refused, settled): (UInt64, UInt64, UInt64) = (0, 0, 0)
        for step in 0..<Self.steps / 10 {
            switch UInt64.random(in: 0..<100, using: &random) {
            case 0..<55:
                let viaRoute = Bool.random(using: &random)
                bench.terms = viaRoute ? routed : plain
                let (verdict, admission) = bench.ask()
                let expected = model.ask(viaRoute, bench.table.time.ticks(monotonic: bench.clock.monotonic), bench.clock.wall)
                try #require(verdict.isAdmitted == expected, "seed \(seed), step \(step)")
                if expected {
                    admitted += 1
                    open.append((admission, viaRoute, bench.clock.wall))
                } else {
                    refused += 1
                }
            case 55..<85:
                guard !open.isEmpty else { continue }
                let one = open.remove(at: .random(in: 0..<open.count, using: &random))
                let isCharged = Int.random(in: 0..<4, using: &random) > 0
                bench.settle(one.admission, Outcome(status: isCharged ? 200 : 503, wasForwarded: isCharged, isOwnAnswer: !isCharged))
                settled += 1
                model.tenant.inFlight -= 1
                if one.viaRoute { model.route.inFlight -= 1 }
                if !isCharged {
                    let cost = one.viaRoute ? routeUsage.cost : 1
                    for name in model.tenant.names(one.wall) { model.tenant.used[name]! -= cost }
                    if one.viaRoute { for name in model.route.names(one.wall) { model.route.used[name]! -= cost } }
                }
            case 85..<99: bench.clock.advance(.random(in: 0...300_000_000, using: &random))
            default: bench.clock.advance(.random(in: 0...4_000_000_000_000, using: &random))
            }
        }
        let meter = bench.limits.meter
        #expect(meter.value(.admitted) == admitted)
        #expect(meter.settled == settled)
        #expect(meter.inFlight == UInt64(open.count))
        #expect(meter.value(.refusedByRate) + meter.value(.refusedByQuota) + meter.value(.refusedByConcurrency) == refused)
        #expect(admitted > 1000 && refused > 1000)
    }
}
