/// Retries are a share of requests, so that they can't multiply the load on a service that is already failing: one retry
/// for five requests, and ten a second for whoever has little traffic.
struct RetryBudget {
    private static let cost = 5
    private static let most = 500
    private static let perSecond: UInt64 = 50
    private var saved = 50
    private var refilled: UInt64 = 0

    /// A request has come.
    mutating func earn() { if saved < Self.most { saved += 1 } }

    /// Takes one retry, where there is one.
    /// - Parameter now: monotonic nanoseconds.
    mutating func spend(now: UInt64) -> Bool {
        if saved < Self.cost {
            let gained = min(now &- refilled, 1_000_000_000) * Self.perSecond / 1_000_000_000
            if gained > 0 {
                saved += Int(gained)
                refilled = now
            }
        }
        guard saved >= Self.cost else { return false }
        saved -= Self.cost
        return true
    }
}
