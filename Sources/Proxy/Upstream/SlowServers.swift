import Base
import Configuration

/// Finds the servers that are slower than the others of their upstream, once a second on the control thread: a window of
/// some seconds after the other, each looked at while it grows.
public struct SlowServers {
    private var before: [ObjectIdentifier: [UInt32]] = [:]
    private var began: UInt64 = 0

    static let window: UInt64 = 10_000_000_000

    public init() {}

    /// Ejects the slowest one of each upstream that has one.
    /// - Parameter now: monotonic nanoseconds.
    public mutating func look(at snapshot: Snapshot, now: UInt64) {
        let isOver = now >= began + Self.window
        var next: [ObjectIdentifier: [UInt32]] = [:]
        for upstream in snapshot.upstreams {
            guard let factor = upstream.eject?.slower, upstream.choices.count > 1 else { continue }
            let servers = upstream.choices.map(\.server)
            let windows = servers.map { server in
                let sums = server.latencies()
                let first = before[ObjectIdentifier(server)] ?? Array(repeating: 0, count: sums.count)
                next[ObjectIdentifier(server)] = isOver ? sums : first
                return LatencyWindow(counts: zip(sums, first).map { $0 &- $1 })
            }
            var slowest: (Server, by: UInt64)?
            for i in servers.indices where !servers[i].condition.isEjected(at: now) {
                let others = servers.indices.filter { $0 != i && !servers[$0].condition.isEjected(at: now) }.map { windows[$0] }
                guard let by = windows[i].slowness(beside: others, factor: UInt64(factor), isShared: servers[i].isShared),
                    by > slowest?.by ?? 0
                else { continue }
                slowest = (servers[i], by)
            }
            if let (server, times) = slowest {
                upstream.eject(server, .slow(times), at: now)
                // What it was slow at before counts once.
                next[ObjectIdentifier(server)] = server.latencies()
            }
        }
        before = next
        if isOver { began = now }
    }
}
