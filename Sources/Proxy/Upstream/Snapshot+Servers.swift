import Base
import Configuration
import Metrics

extension Snapshot {
    /// Tells the servers what it says of them, before any loop goes by it.
    /// - Parameters:
    ///   - isStart: it is the first.
    ///   - now: monotonic nanoseconds.
    public func tellServers(isStart: Bool, at now: UInt64) {
        // Of a template's servers some may be those of all its instances.
        var users: [ObjectIdentifier: String] = [:]
        var shared: Set<ObjectIdentifier> = []
        for upstream in upstreams {
            for member in upstream.members {
                let id = ObjectIdentifier(member.server)
                if upstream.isShared || users.updateValue(upstream.user, forKey: id) ?? upstream.user != upstream.user {
                    shared.insert(id)
                }
            }
        }
        for upstream in upstreams {
            for member in upstream.members {
                member.server.adopt(
                    upstream, isOpen: member.isOpen, isShared: shared.contains(ObjectIdentifier(member.server)), isStart: isStart,
                    at: now)
            }
        }
    }

    /// How each server stands, for metrics.
    public func serverReadings() -> [ServerReading] {
        let now = Clock.monotonic()
        return upstreams.flatMap { upstream in
            upstream.members.map { member in
                let condition = member.server.readings(flag: member.flag, at: now)
                return ServerReading(
                    ServerMetrics.Key(upstream: member.server.upstream, server: member.server.configured), condition.state,
                    failures: condition.failures, slow: condition.slow)
            }
        }
    }
}

extension Server {
    /// How it stands, and how often it was ejected for which reason.
    /// - Parameter flag: what its upstream says of it.
    fileprivate func readings(flag: ServerFlag?, at now: UInt64) -> (state: ServerState, failures: UInt64, slow: UInt64) {
        (state(flag: flag, at: now), condition.ejections(.failures), condition.ejections(.slow))
    }

    private func state(flag: ServerFlag?, at now: UInt64) -> ServerState {
        if flag == .down || condition.isDown { return .down }
        if flag == .drain { return .drain }
        if condition.isEjected(at: now) { return .ejected }
        if flag == .backup { return .backup }
        return condition.isGrowing(at: now) ? .slowStart : .up
    }
}
