/// What one worker counts for one upstream. Only that worker's thread may write.
public final class UpstreamMetrics: Sendable {
    /// The name in the configuration.
    public let upstream: String
    let duration = Histogram<RequestScale>()
    let waiting = Gauge()
    let waits = Histogram<RequestScale>()
    private let results = InlineArray<3, Counter> { _ in Counter() }
    let handshakes = HandshakeCounters()
    private let copies = InlineArray<3, Counter> { _ in Counter() }

    init(upstream: String) { self.upstream = upstream }

    /// An upstream has answered a request: from the first byte sent to it to the last byte of its answer.
    public func finished(nanoseconds: UInt64) { duration.record(nanoseconds) }

    /// A TLS handshake with one of its servers has ended.
    public func handshake(_ version: HandshakeVersion, resumed: Bool, _ result: HandshakeResult) {
        handshakes.add(version, resumed: resumed, result)
    }

    /// A retry has come to this.
    public func retried(_ result: RetryResult) { results[result.rawValue].add() }

    func retries(_ result: RetryResult) -> UInt64 { results[result.rawValue].value }

    /// A copy of a request has come to this.
    public func mirrored(_ result: MirrorResult) { copies[result.rawValue].add() }

    func mirrors(_ result: MirrorResult) -> UInt64 { copies[result.rawValue].value }

    /// A request waits for a connection.
    public func queued() { waiting.add(1) }

    /// So many who wait do so at an upstream of another name.
    public func handOver(_ count: Int, to other: UpstreamMetrics) {
        waiting.add(-count)
        other.waiting.add(count)
    }

    /// One waits no more, whatever for.
    public func leftQueue(after nanoseconds: UInt64) {
        waiting.add(-1)
        waits.record(nanoseconds)
    }
}

/// What has become of sending a request again.
public enum RetryResult: Int, CaseIterable, Sendable {
    case ok
    /// It has failed as well, or its answer was as bad.
    case failed
    /// There was none, for want of budget.
    case budget

    var label: StaticString {
        switch self {
        case .ok: "ok"
        case .failed: "failed"
        case .budget: "budget"
        }
    }
}

/// A worker's connections to one server.
public final class ServerConnections: Sendable {
    private let all = Gauge()
    private let unused = Gauge()

    init() {}

    public func opened() { all.add(1) }
    public func closed() { all.add(-1) }

    /// So many of them are those of a server of another name.
    public func handOver(_ count: Int, to other: ServerConnections) {
        all.add(-count)
        set(idle: 0)
        other.all.add(count)
    }

    /// So many of them are unused, as of now.
    public func set(idle: Int) { unused.add(idle - unused.value) }

    var idle: Int { max(0, min(unused.value, all.value)) }
    /// Connecting, or in use.
    var active: Int { max(0, all.value - idle) }
}

/// What one worker counts for one server of an upstream. Only that worker's thread may write.
public final class ServerMetrics: Sendable {
    /// A server and the upstream it stands in.
    public struct Key: Hashable, Sendable {
        public let upstream: String
        /// As written in the configuration, with the port: of a template the template, or a label would grow with
        /// tenants.
        public let server: String

        public init(upstream: String, server: String) { (self.upstream, self.server) = (upstream, server) }
    }

    public let key: Key
    let codes = KeyedCounter<6>()
    public let connections = ServerConnections()

    init(key: Key) { self.key = key }

    /// The server has answered with `code`, 100 to 599; anything else (an attempt without an answer) counts as 0.
    public func finished(code: Int) {
        codes.add(code >= 100 && code < 600 ? UInt16(truncatingIfNeeded: code) : 0)
    }
}
