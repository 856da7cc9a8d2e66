import Synchronization
import Testing

@testable import Metrics

@Suite("counters and histograms")
struct CounterTests {
    /// The definition, without any table: how many bounds are less than the value.
    private func slowBucket<Scale: HistogramScale>(_ value: UInt64, _: Scale.Type) -> Int {
        (0..<14).filter { Scale.bounds[$0] < value }.count
    }

    private func compare<Scale: HistogramScale>(_ scale: Scale.Type) {
        var values: [UInt64] = [0, 1, .max, .max - 1]
        for i in 0..<14 { values += [Scale.bounds[i] - 1, Scale.bounds[i], Scale.bounds[i] + 1] }
        for bit in 0..<64 as Range<UInt64> { values += [1 << bit, (1 << bit) - 1, (1 << bit) + 1, (3 << bit) >> 1] }
        for value in values {
            #expect(Scale.bucket(value) == slowBucket(value, Scale.self), "\(value)")
        }
    }

    @Test("the table finds the bucket that the definition names, at every bound and every power of two")
    func buckets() {
        compare(RequestScale.self)
        compare(OverheadScale.self)
    }

    @Test("every bound has its label, in seconds")
    func labels() {
        func check<Scale: HistogramScale>(_: Scale.Type) {
            #expect(Scale.labels.count == 14)
            for (i, label) in Scale.labels.enumerated() {
                let seconds = Double(label.description)
                #expect(seconds.map { ($0 * 1e9).rounded() } == Double(Scale.bounds[i]))
            }
        }
        check(RequestScale.self)
        check(OverheadScale.self)
    }

    @Test("keys are told apart however many there are, each with its own count")
    func keys() {
        let counter = KeyedCounter<6>()
        for round in 0..<3 { for code in 100..<600 { counter.add(UInt16(code), UInt64(code + round)) } }
        counter.add(0)
        var seen: [UInt16: UInt64] = [:]
        counter.forEach { key, count in
            #expect(seen.updateValue(count, forKey: key) == nil)
        }
        #expect(seen.count == 501)
        #expect(seen[0] == 1)
        for code in 100..<600 { #expect(seen[UInt16(code)] == UInt64(3 * code + 3)) }
    }

    @Test("a status that is none counts as 0")
    func oddCodes() {
        let tenant = TenantMetrics(tenant: "a")
        for code in [Int.min, -1, 0, 99, 600, Int.max] { tenant.finished(code: code, nanoseconds: 1) }
        var totals = KeyedTotals()
        totals.add(tenant.codes)
        #expect(totals.counts.map(\.key) == [0])
        #expect(totals.counts.map(\.count) == [6])
    }

    @Test("names of refusals are those of the contract")
    func refusals() {
        #expect(
            Refusal.allCases.map(\.name.description) == [
                "bad-request", "credentials-required", "credentials-invalid", "tenant-mismatch", "tenant-suspended",
                "timeout", "content-too-large", "uri-too-long", "headers-too-large", "misdirected", "rate-limited",
                "quota-exceeded", "concurrency-limited", "bad-upstream", "upstream-timeout", "no-healthy-upstream",
                "overloaded", "forbidden", "no-route", "address-denied", "fault-injected", "authorization-unavailable",
            ])
    }
}
