import Configuration
import Storage
import Testing

@testable import Quotas

@Suite("TokenBucket")
struct TokenBucketTests {
    static func rate(_ count: UInt64, _ period: RateSettings.Period = .second, burst: UInt64) -> RateSettings {
        RateSettings(count: count, period: period, burst: burst)
    }

    @Test("admits its burst at once, and then as many as come in the time")
    func burstThenRate() throws {
        var bench = try Bench(UsageSettings(rates: [Self.rate(10, burst: 20)]))
        #expect(bench.admitted(of: 50) == 20)
        bench.clock.advance(1_000_000_000)
        #expect(bench.admitted(of: 50) == 10)
        bench.clock.advance(3600_000_000_000)
        #expect(bench.admitted(of: 50) == 20)
    }

    @Test("who waits as long as it was told gets in, and who waits a nanosecond less does not")
    func waitIsTrue() throws {
        for (count, period) in [(3, RateSettings.Period.second), (7, .minute), (1000, .hour), (999_983, .second)] {
            var bench = try Bench(UsageSettings(rates: [Self.rate(UInt64(count), period, burst: 2)]))
            #expect(bench.admitted(of: 3) == 2)
            let wait = bench.ask().0.wait
            #expect(wait > 0)
            bench.clock.advance(wait - 1)
            #expect(!bench.ask().0.isAdmitted)
            bench.clock.advance(1)
            #expect(bench.ask().0.isAdmitted)
        }
    }

    @Test(
        "over a long time no more and no less than burst + rate x time",
        arguments: [1, 7, 800, 999, 1000, 33_333, 1_000_000] as [UInt64])
    func exact(count: UInt64) throws {
        var bench = try Bench(UsageSettings(rates: [Self.rate(count, burst: 10)]))
        var admitted = 0
        // Asked at about three times the rate, for as long as 20,000 requests take.
        let step = max(1, 1_000_000_000 / (3 * count))
        for _ in 0..<60_000 {
            if bench.ask().0.isAdmitted { admitted += 1 }
            bench.clock.advance(step)
        }
        let expected = 10 + Double(step * 60_000) * Double(count) / 1e9
        #expect(abs(Double(admitted) - expected) <= 2 + expected * 0.0002)
    }

    @Test("a change of rate keeps what is left, as far as it fits")
    func change() throws {
        var bench = try Bench(UsageSettings(rates: [Self.rate(10, burst: 20)]))
        #expect(bench.admitted(of: 15) == 15)
        bench.change(UsageSettings(rates: [Self.rate(1, burst: 100)]))
        #expect(bench.admitted(of: 50) == 5)
        bench.clock.advance(100_000_000_000)
        bench.change(UsageSettings(rates: [Self.rate(1, burst: 3)]))
        #expect(bench.admitted(of: 50) == 3)
    }

    @Test("the same limits again change nothing, and one that is added starts full")
    func reload() throws {
        let one = UsageSettings(rates: [Self.rate(10, burst: 20)])
        var bench = try Bench(one)
        #expect(bench.admitted(of: 15) == 15)
        for _ in 0..<100 { bench.change(one) }
        #expect(bench.admitted(of: 50) == 5)
        bench.change(UsageSettings())
        #expect(bench.admitted(of: 50) == 50)
        bench.change(one)
        #expect(bench.admitted(of: 50) == 20)
    }

    @Test("rates keep their buckets in whatever order they stand")
    func order() throws {
        let second = Self.rate(10, burst: 20)
        let minute = Self.rate(60, .minute, burst: 30)
        var bench = try Bench(UsageSettings(rates: [second, minute]))
        #expect(bench.admitted(of: 12) == 12)
        bench.change(UsageSettings(rates: [minute, second]))
        let report = bench.limits.report(bench.enforcer, monotonic: bench.clock.monotonic)
        #expect(report.map(\.policy) == ["rate-minute", "rate-second"])
        #expect(report.map(\.left) == [18, 8])
    }

    @Test("a request that costs more than fits waits for a full bucket and leaves a debt")
    func dear() throws {
        var bench = try Bench(UsageSettings(rates: [Self.rate(1, burst: 2)], cost: 5))
        #expect(bench.admitted(of: 2) == 1)
        #expect(bench.ask().0.wait == 5_000_000_000)
        bench.clock.advance(5_000_000_000)
        #expect(bench.ask().0.isAdmitted)
    }

    @Test("numbers at the ends of what may be configured do not overflow")
    func extremes() throws {
        for count in [1, 1_000_000_000_000] as [UInt64] {
            for period in [RateSettings.Period.second, .minute, .hour] {
                for burst in [1, 1_000_000_000] as [UInt64] {
                    var bench = try Bench(UsageSettings(rates: [Self.rate(count, period, burst: burst)], cost: 1_000_000))
                    #expect(bench.ask().0.isAdmitted)
                    _ = bench.ask()
                    _ = bench.limits.report(bench.enforcer, monotonic: bench.clock.monotonic)
                    for word in [0, 1, UInt64.max / 2, .max] {
                        bench.limits.meter.store(word, to: .bucket(0))
                        _ = bench.ask()
                        bench.change(UsageSettings(rates: [Self.rate(count / 2 + 1, period, burst: burst / 2 + 1)]))
                        _ = bench.ask()
                    }
                }
            }
        }
    }
}
