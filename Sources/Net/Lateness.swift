/// How late something is, on the average.
struct Lateness {
    private var sum: UInt64 = 0
    private var count: UInt64 = 0

    @inline(__always)
    mutating func add(_ late: UInt64) {
        sum &+= late
        count &+= 1
    }

    /// Since the last call; zero where nothing was.
    mutating func take() -> UInt64 {
        defer { (sum, count) = (0, 0) }
        return count == 0 ? 0 : sum / count
    }
}
