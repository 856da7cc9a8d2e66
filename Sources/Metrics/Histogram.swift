/// Upper bounds of a histogram's buckets: 14 and `+Inf`, whatever the scale, so that all histograms have one shape.
public protocol HistogramScale {
    /// Nanoseconds, ascending, inclusive, then twice `UInt64.max`, so that a search may look two past any start.
    static var bounds: InlineArray<16, UInt64> { get }
    /// By the number of significant bits of a value: how many bounds are below every value of that many bits.
    static var starts: InlineArray<65, UInt8> { get }
    /// The bounds in seconds as `le` shows them, shortest form, without `+Inf`.
    static var labels: [StaticString] { get }
}

extension HistogramScale {
    /// At most two bounds may lie between two powers of two: then two comparisons after the table end every search.
    static func makeStarts(_ bounds: InlineArray<16, UInt64>) -> InlineArray<65, UInt8> {
        InlineArray { bits in
            let smallest: UInt64 = bits == 0 ? 0 : 1 << UInt64(bits - 1)
            var below: UInt8 = 0
            for i in 0..<14 where bounds[i] < smallest { below += 1 }
            return below
        }
    }

    /// The bucket of a value: how many bounds are less than it. No loop, no branch on the value.
    @inline(__always)
    static func bucket(_ nanoseconds: UInt64) -> Int {
        let start = Int(starts[64 - nanoseconds.leadingZeroBitCount])
        return start + (bounds[start] < nanoseconds ? 1 : 0) + (bounds[start + 1] < nanoseconds ? 1 : 0)
    }
}

/// What requests take: 0.5 ms, for there are many that take less than the 5 ms with which OpenTelemetry begins, to 10 s.
public enum RequestScale: HistogramScale {
    public static let bounds: InlineArray<16, UInt64> = [
        500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
        500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000, .max, .max,
    ]
    public static let starts = makeStarts(bounds)
    public static let labels: [StaticString] = [
        "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10",
    ]
}

/// Time spent in the gateway itself: 1 us to 100 ms, finest where it should be.
public enum OverheadScale: HistogramScale {
    public static let bounds: InlineArray<16, UInt64> = [
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
        50_000_000, 100_000_000, .max, .max,
    ]
    public static let starts = makeStarts(bounds)
    public static let labels: [StaticString] = [
        "1e-06", "2.5e-06", "5e-06", "1e-05", "2.5e-05", "5e-05", "0.0001", "0.00025", "0.0005", "0.001", "0.005",
        "0.01", "0.05", "0.1",
    ]
}

/// Durations counted by bucket, with their sum. One writer, any reader.
public struct Histogram<Scale: HistogramScale>: ~Copyable, Sendable {
    /// Nanoseconds. Wraps after 584 years of recorded time. Beside the first buckets, where most durations go.
    let sum = Counter()
    let buckets = InlineArray<15, Counter> { _ in Counter() }

    public init() {}

    /// Only from the thread that owns this histogram.
    @inline(__always)
    public func record(_ nanoseconds: UInt64) {
        buckets[Scale.bucket(nanoseconds)].add()
        sum.add(nanoseconds)
    }
}

/// What was read from one histogram or from many of the same scale.
struct HistogramTotals {
    /// Not cumulative.
    var buckets = [UInt64](repeating: 0, count: 15)
    /// Nanoseconds; wide, because the sum over many tenants and workers outgrows 64 bits long before one of them does.
    var sum: UInt128 = 0

    mutating func add<Scale>(_ histogram: borrowing Histogram<Scale>) {
        for i in 0..<15 { buckets[i] &+= histogram.buckets[i].value }
        sum += UInt128(histogram.sum.value)
    }
}
