import Base

/// What an upstream may take, from all loops together: connections to each server, requests that wait for one, retries. No
/// loop has a share of its own, for the kernel may bring all clients to one of them.
struct Breaker {
    private(set) var maxConnections: Int
    private let use: UpstreamUse
    private var earnings = RetryBudget.Earnings()

    /// - Parameter maxConnections: to each server.
    init(maxConnections: Int, use: UpstreamUse) { (self.maxConnections, self.use) = (maxConnections, use) }

    /// Goes by another limit from now on. What is used up stays used up.
    mutating func adopt(maxConnections: Int) { self.maxConnections = maxConnections }

    /// Another request waits from now on, where one may. `stopWaiting` is owed for it.
    /// - Parameter each: how many for each connection that there may be.
    func wait(forEach each: Int = Limits.waitersPerConnection) -> Bool { use.waiting.take(upTo: maxConnections * each) }

    /// One who waited does so no longer.
    func stopWaiting() { use.waiting.giveBack() }

    /// A request has come, or one comes again.
    mutating func enter() { earnings.earn(for: use.retries) }

    /// Takes one retry, where there is one.
    /// - Parameter now: monotonic nanoseconds.
    func mayRetry(now: UInt64) -> Bool { use.retries.spend(now: now) }
}
