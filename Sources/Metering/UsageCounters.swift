/// The lifetime counters of one slot of the meter table, in the table's order. They only grow, but for the cost.
public struct UsageCounters: Sendable, Equatable {
    public static let count = 16

    public enum Counter: Int, Sendable, CaseIterable {
        case admitted, cost
        case refusedByRate, refusedByQuota, refusedByConcurrency, refusedOtherwise, shadowRefused
        case requestBytes
        case status1xx, status2xx, status3xx, status4xx, status5xx
        case responseBytes, upstreamMicroseconds
        case uncharged
    }

    public var words = InlineArray<16, UInt64>(repeating: 0)

    public init() {}

    public subscript(_ counter: Counter) -> UInt64 {
        get { words[counter.rawValue] }
        set { words[counter.rawValue] = newValue }
    }

    /// Whether each counter that only grows is at least what it is in `other`.
    public func isAtLeast(_ other: UsageCounters) -> Bool {
        for index in words.indices where index != Counter.cost.rawValue && words[index] < other.words[index] {
            return false
        }
        return true
    }

    public static func == (left: UsageCounters, right: UsageCounters) -> Bool {
        for index in left.words.indices where left.words[index] != right.words[index] { return false }
        return true
    }
}
