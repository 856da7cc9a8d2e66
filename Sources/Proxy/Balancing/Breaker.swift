import Base
import Configuration

/// What an upstream may take, from all loops together: connections to each server, requests that wait for one, retries. No
/// loop has a share of its own, for the kernel may bring all clients to one of them.
struct Breaker {
    private(set) var maxConnections: Int
    private(set) var queue: QueueSettings?
    private(set) var maxRequests: Int?
    private let use: UpstreamUse
    private var earnings = RetryBudget.Earnings()

    /// - Parameter maxConnections: to each server.
    init(maxConnections: Int, queue: QueueSettings? = nil, maxRequests: Int? = nil, use: UpstreamUse) {
        (self.maxConnections, self.queue, self.maxRequests, self.use) = (maxConnections, queue, maxRequests, use)
    }

    /// Goes by another limit from now on. What is used up stays used up.
    mutating func adopt(maxConnections: Int, queue: QueueSettings? = nil, maxRequests: Int? = nil) {
        (self.maxConnections, self.queue, self.maxRequests) = (maxConnections, queue, maxRequests)
    }

    /// How many may wait.
    /// - Parameter each: how many for each connection that there may be, where `queue` says nothing.
    func lineSize(forEach each: Int = Limits.waitersPerConnection) -> Int { queue?.size ?? maxConnections * each }

    /// Another request waits from now on, where one may. `stopWaiting` is owed for it.
    /// - Parameter size: how many may.
    func wait(upTo size: Int) -> Bool { use.waiting.take(upTo: size) }

    /// The same for one who may in any case. Somebody else is to leave for it.
    func waitBeyond() { use.waiting.takeBeyond() }

    /// More wait than may.
    func isTooLong(for size: Int) -> Bool { use.waiting.count > size }

    /// One who waited does so no longer, if more wait than may.
    func stopWaiting(beyond size: Int) -> Bool { use.waiting.giveBack(beyond: size) }

    /// One who waited does so no longer.
    func stopWaiting() { use.waiting.giveBack() }

    /// One more is under way, where one may be. `requestEnded` is owed for it.
    func beginRequest(of part: TenantPart, weight: Int64, upTo most: Int, isShared: Bool) -> Bool {
        use.requests.take(for: part, weight: weight, of: most, isShared: isShared)
    }

    func requestEnded(of part: TenantPart) { use.requests.giveBack(of: part) }

    /// A request has come, or one comes again.
    /// - Parameter budget: retries for a hundred of them.
    @inline(__always)
    mutating func enter(budget: Int = 20) { earnings.earn(for: use.retries, percent: budget) }

    /// Takes one retry, where there is one.
    /// - Parameters:
    ///   - tenant: the tag of the one whose it is.
    ///   - now: monotonic nanoseconds.
    func mayRetry(for tenant: UInt32 = 0, now: UInt64) -> Bool { use.retries.spend(for: tenant, now: now) }
}
