import Base

/// How fast a client sends its body, over windows of the time in which it was read: a byte before each `body_timeout` would
/// hold a connection for ever. While the gateway does not read, because the upstream takes nothing, no time runs.
struct BodyRate {
    /// Monotonic nanoseconds from when on it is read; `.max` while it is not.
    private var since = UInt64.max
    /// Of the window: nanoseconds before that, and bytes.
    private var spent: UInt64 = 0
    private var bytes: UInt64 = 0
    /// The next part is due then, however fast the others were.
    private(set) var due = UInt64.max
    /// What the last window came to.
    private(set) var isSlow = false

    /// It is read from now on.
    /// - Parameter due: when the next part must be there.
    /// - Returns: the end of the window, or `due` if that comes first.
    mutating func run(_ now: UInt64, due: UInt64) -> UInt64 {
        if since == .max { since = now }
        self.due = due
        return min(due, since &+ Limits.bodyRateNanoseconds &- min(spent, Limits.bodyRateNanoseconds))
    }

    mutating func pause(_ now: UInt64) {
        if since != .max { spent &+= now &- since }
        (since, due) = (.max, .max)
    }

    mutating func sent(_ count: Int) { bytes &+= UInt64(count) }

    /// A deadline has come. Nil where the next part is late, or the window was too slow; otherwise the deadline after it.
    /// - Parameter least: bytes a second.
    mutating func next(_ now: UInt64, least: UInt64) -> UInt64? {
        guard since != .max, now < due else { return nil }
        let time = spent &+ (now &- since)
        guard time >= Limits.bodyRateNanoseconds else { return nil }
        // A body of more in so short a time is none too slow.
        isSlow = min(bytes, 1 << 32) &* 1_000_000_000 < least &* time
        if isSlow { return nil }
        (since, spent, bytes) = (now, 0, 0)
        return run(now, due: due)
    }
}

extension Exchange {
    /// When the client is late with its body.
    func bodyDeadline(_ now: UInt64) -> UInt64 {
        let due = now + worker.limits.bodyTimeout
        guard worker.limits.bodyMinRate > 0, wantsRequest else {
            bodyRate.pause(now)
            return due
        }
        return bodyRate.run(now, due: due)
    }

    /// Whether its deadline was but the end of a window, in which enough has come.
    func goesOn(_ now: UInt64) -> Bool {
        guard worker.limits.bodyMinRate > 0, let next = bodyRate.next(now, least: worker.limits.bodyMinRate) else { return false }
        worker.loop.schedule(client.source, at: next)
        return true
    }
}
