import Base

/// What an upstream may take from one loop: connections to each server, requests that wait for one, retries.
struct Breaker {
    /// A loop's share of `max_connections`: at least one, and all loops together never more than the directive says (unless
    /// there are more loops than connections).
    private var connectionsMax: Int
    private var retries = RetryBudget()

    /// - Parameters:
    ///   - maxConnections: to each server, from all loops together.
    ///   - loops: how many share them.
    init(maxConnections: Int, loops: Int) { connectionsMax = Self.share(of: maxConnections, loops: loops) }

    private static func share(of connections: Int, loops: Int) -> Int { max(1, connections / loops) }

    /// Goes by other limits from now on. What is used up stays used up.
    mutating func adopt(maxConnections: Int, loops: Int) {
        connectionsMax = Self.share(of: maxConnections, loops: loops)
    }

    /// Whether a server to which `open` connections are open may get another one.
    func mayConnect(open: Int) -> Bool { open < connectionsMax }

    /// Whether another request may wait beside `waiting` that do.
    func mayWait(waiting: Int) -> Bool { waiting < connectionsMax * Limits.waitersPerConnection }

    /// A request has come, or one comes again.
    mutating func enter() { retries.earn() }

    /// Takes one retry, where there is one.
    /// - Parameter now: monotonic nanoseconds.
    mutating func mayRetry(now: UInt64) -> Bool { retries.spend(now: now) }
}
