/// How much of what only costs one peer may do: some at once, and then so much a second. Time is monotonic nanoseconds.
public struct AbuseBudget: Sendable {
    /// A bucket: so many at once, and one more each `interval`.
    public struct Bound: Sendable {
        public var burst: Int
        public var interval: UInt64

        public init(_ burst: Int, per second: Int) { (self.burst, interval) = (burst, 1_000_000_000 / UInt64(max(second, 1))) }
        public init(_ burst: Int, in time: UInt64) { (self.burst, interval) = (burst, time / UInt64(max(burst, 1))) }
    }

    /// `max_resets`.
    private let resets: Bound
    /// When each bucket is full again, were nothing more to come.
    private var fullAt: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)

    public init(resets: Bound) { self.resets = resets }

    // Acknowledged settings come at the start, and lists of fields that are too large from who will learn; a good client sends
    // hardly any PRIORITY frame today, empty DATA ends a stream, and window updates come with every few KiB. What measures the
    // width of its way while a body comes pings once in each round trip.
    private func bound(_ kind: H2Abuse) -> Bound {
        switch kind {
        case .resets: resets
        case .headers: Bound(50, per: 5)
        case .control: Bound(1000, per: 1000)
        case .priority: Bound(1000, per: 100)
        case .emptyData: Bound(100 * 100, per: 100 * 100)
        case .windowUpdates: Bound(10000, per: 10000)
        }
    }

    /// One more of the kind, or several. Throws when that was too much.
    public mutating func spend(_ kind: H2Abuse, _ count: UInt64 = 1, now: UInt64) throws(H2Fault) {
        let bound = bound(kind)
        let spent = unsafe withUnsafeMutableBytes(of: &fullAt) { unsafe $0.bindMemory(to: UInt64.self)[Int(kind.rawValue)] }
        let full = max(spent, now) + bound.interval * count
        guard full - now <= bound.interval * UInt64(bound.burst) else { throw H2Fault(.enhanceYourCalm, kind.name, abuse: kind) }
        unsafe withUnsafeMutableBytes(of: &fullAt) { unsafe $0.bindMemory(to: UInt64.self)[Int(kind.rawValue)] = full }
    }
}
