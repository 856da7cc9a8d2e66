/// How much was used. In an interval, or in many of them together: amounts add up.
public struct Usage: Sendable, Equatable {
    /// Requests taken, counted before they were forwarded.
    public var admitted: UInt64 = 0
    /// Answers by class: 1xx to 5xx.
    public var status = InlineArray<5, UInt64>(repeating: 0)
    /// Requests refused, by `reasons`: those that the gateway answered itself. Some were admitted, and failed then.
    public var refused = InlineArray<4, UInt64>(repeating: 0)
    /// Requests that a limit in shadow mode would have refused.
    public var shadowRefused: UInt64 = 0
    /// Requests that were settled and not charged, by the rule of the quotas (`charge`).
    public var uncharged: UInt64 = 0
    /// Bytes of bodies. Those of the gateway's own error pages are not in it.
    public var requestBytes: UInt64 = 0
    public var responseBytes: UInt64 = 0
    /// Time spent waiting for upstreams.
    public var upstreamMilliseconds: UInt64 = 0
    /// Cost units, net of what was given back: an interval in which only was given back has less than nothing.
    public var cost: Int64 = 0

    /// What `refused` counts, in its order; the last is everything else.
    public static let reasons: [StaticString] = ["rate-limited", "quota-exceeded", "concurrency-limited", "other"]

    public init() {}

    /// Answers of every class.
    public var settled: UInt64 {
        var sum: UInt64 = 0
        for index in status.indices { sum.addClamped(status[index]) }
        return sum
    }

    public var allRefused: UInt64 {
        var sum: UInt64 = 0
        for index in refused.indices { sum.addClamped(refused[index]) }
        return sum
    }

    /// What was counted between two readings of the counters.
    public init(from earlier: UsageCounters, to later: UsageCounters) {
        func grown(_ counter: UsageCounters.Counter) -> UInt64 { later[counter] &- earlier[counter] }
        admitted = grown(.admitted)
        for index in status.indices {
            status[index] =
                later.words[UsageCounters.Counter.status1xx.rawValue + index]
                &- earlier.words[UsageCounters.Counter.status1xx.rawValue + index]
        }
        for index in refused.indices {
            refused[index] =
                later.words[UsageCounters.Counter.refusedByRate.rawValue + index]
                &- earlier.words[UsageCounters.Counter.refusedByRate.rawValue + index]
        }
        shadowRefused = grown(.shadowRefused)
        uncharged = grown(.uncharged)
        requestBytes = grown(.requestBytes)
        responseBytes = grown(.responseBytes)
        // Of whole milliseconds since ever: what is rounded off here comes with a later interval.
        upstreamMilliseconds = later[.upstreamMicroseconds] / 1000 &- earlier[.upstreamMicroseconds] / 1000
        cost = Int64(bitPattern: grown(.cost))
    }

    /// What is more than can be written down stays at the most that can.
    public mutating func add(_ other: Usage) {
        admitted.addClamped(other.admitted)
        for index in status.indices { status[index].addClamped(other.status[index]) }
        for index in refused.indices { refused[index].addClamped(other.refused[index]) }
        shadowRefused.addClamped(other.shadowRefused)
        uncharged.addClamped(other.uncharged)
        requestBytes.addClamped(other.requestBytes)
        responseBytes.addClamped(other.responseBytes)
        upstreamMilliseconds.addClamped(other.upstreamMilliseconds)
        cost.addClamped(other.cost)
    }

    public static func == (left: Usage, right: Usage) -> Bool {
        for index in left.status.indices where left.status[index] != right.status[index] { return false }
        for index in left.refused.indices where left.refused[index] != right.refused[index] { return false }
        return left.admitted == right.admitted && left.shadowRefused == right.shadowRefused
            && left.uncharged == right.uncharged
            && left.requestBytes == right.requestBytes && left.responseBytes == right.responseBytes
            && left.upstreamMilliseconds == right.upstreamMilliseconds && left.cost == right.cost
    }
}
