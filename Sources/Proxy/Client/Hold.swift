import Quotas

/// How long a connection whose requests are refused is not read: longer with each refusal in a row. A client that asks
/// again at once costs then no more than one that waits.
struct Hold {
    /// Refusals since the last request that was let in.
    private var refusals = 0
    /// Monotonic nanoseconds; zero is no hold.
    private(set) var until: UInt64 = 0

    private static let first: UInt64 = 2_000_000
    private static let longest: UInt64 = 1_000_000_000
    /// Where only the end of another request makes room, that may be any moment.
    private static let concurrency: UInt64 = 64_000_000

    mutating func admitted() { (refusals, until) = (0, 0) }
    mutating func end() { until = 0 }

    /// Never beyond `Retry-After`, and never so long that a bucket would run over meanwhile.
    mutating func refused(_ verdict: Verdict, now: UInt64) {
        refusals = min(refusals + 1, 16)
        let grown = Self.first << UInt64(refusals - 1)
        let most = verdict.reason == .concurrency ? Self.concurrency : min(verdict.refill / 2, Self.longest)
        let wait = min(grown, most, verdict.retryAfter &* 1_000_000_000)
        until = wait > 0 ? now &+ wait : 0
    }
}
