import Synchronization

/// How long one loop has waited for the answers of one server, in buckets of a fifth of their value, by classes of tenants.
/// One writer, any reader.
final class LatencyCells: Sendable {
    static let buckets = 80
    static let classes = 8
    private let cells = InlineArray<640, Atomic<UInt32>> { _ in Atomic(0) }

    /// An answer has begun after so many nanoseconds.
    /// - Parameter tenant: its tag, where the server has several.
    func record(_ nanoseconds: UInt64, of tenant: UInt32?) {
        let at = Int((tenant ?? 0) & 7) * Self.buckets + Self.bucket(of: nanoseconds)
        cells[at].store(cells[at].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    func add(to sums: inout [UInt32]) {
        for i in sums.indices { sums[i] &+= cells[i].load(ordering: .relaxed) }
    }

    /// Four for each doubling, from 65 microseconds to a minute.
    static func bucket(of nanoseconds: UInt64) -> Int {
        let units = max(nanoseconds >> 16, 1)
        let power = 63 - units.leadingZeroBitCount
        return min(power * 4 + Int((units << 2) >> UInt64(power) & 3), buckets - 1)
    }

    /// Nanoseconds at which a bucket begins.
    static func start(of bucket: Int) -> UInt64 {
        let power = UInt64(bucket / 4)
        return ((UInt64(4 + bucket % 4) << power) >> 2) << 16
    }
}

/// What was counted of one server in a window, and what it says beside the others.
struct LatencyWindow {
    /// As `LatencyCells` has them.
    var counts: [UInt32]

    /// So many answers are enough for a verdict.
    static let enough = 20
    /// Who is slower by less than this is not slow, however many times the others' it is.
    static let least: UInt64 = 10_000_000

    /// The time within which nine of ten answers have begun, in that class; nil of too few.
    private static func p90(_ counts: ArraySlice<UInt32>) -> UInt64? {
        let total = counts.reduce(0) { $0 + Int($1) }
        guard total >= enough else { return nil }
        var rest = (total + 9) / 10
        for (offset, count) in counts.reversed().enumerated() {
            rest -= Int(count)
            if rest <= 0 { return LatencyCells.start(of: LatencyCells.buckets - 1 - offset) }
        }
        return nil
    }

    /// By how many times it is slower than the others, where that is more than `factor`. One tenant alone can't make a
    /// server slow for others by what it asks for: classes of tenants are compared each with itself, and where there are
    /// several tenants, most classes and at least two must find the same.
    /// - Parameter isShared: several tenants use the server.
    func slowness(beside others: [LatencyWindow], factor: UInt64, isShared: Bool) -> UInt64? {
        var (judged, slow, most): (Int, Int, UInt64) = (0, 0, 0)
        for one in 0..<LatencyCells.classes {
            let range = one * LatencyCells.buckets..<(one + 1) * LatencyCells.buckets
            guard let own = Self.p90(counts[range]) else { continue }
            var sum = [UInt32](repeating: 0, count: LatencyCells.buckets)
            for other in others { for (i, count) in other.counts[range].enumerated() { sum[i] &+= count } }
            guard let usual = Self.p90(sum[...]) else { continue }
            judged += 1
            if own > factor * usual, own - usual >= Self.least { (slow, most) = (slow + 1, max(most, own / usual)) }
        }
        return slow >= (isShared ? 2 : 1) && slow * 2 > judged ? most : nil
    }
}
