/// The connections of one listener on one worker. Only that worker's thread may write.
public final class ListenerMetrics: Sendable {
    /// The endpoint as written in the configuration.
    public let listener: String
    let active = Gauge()
    let idle = Gauge()

    init(listener: String) { self.listener = listener }

    /// A connection was accepted. It is idle until its first request.
    public func opened() { idle.add(1) }

    /// A request has begun on an idle connection.
    public func requestBegan() {
        idle.add(-1)
        active.add(1)
    }

    /// The request is over, the connection stays.
    public func requestEnded() {
        active.add(-1)
        idle.add(1)
    }

    /// A connection is gone; `active` where it went in the middle of a request.
    public func closed(active wasActive: Bool) {
        if wasActive { active.add(-1) } else { idle.add(-1) }
    }
}
