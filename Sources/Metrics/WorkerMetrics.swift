/// How the reading of a request came to its end whose answer was sent before.
public enum LingerEnd: Int, CaseIterable, Sendable {
    /// Its body was over, or the client has closed.
    case whole
    /// More came than is read for nothing, or for longer.
    case bytes, time

    var label: StaticString {
        switch self {
        case .whole: "whole"
        case .bytes: "bytes"
        case .time: "time"
        }
    }
}

/// What HTTP/2 connections were ended for that only cost others.
public enum H2AbuseKind: Int, CaseIterable, Sendable {
    case resets, headers, control, priority, emptyData, windowUpdates

    var label: StaticString {
        switch self {
        case .resets: "resets"
        case .headers: "headers"
        case .control: "control"
        case .priority: "priority"
        case .emptyData: "empty_data"
        case .windowUpdates: "window_updates"
        }
    }
}

/// What one worker counts that belongs to no tenant. Only that worker's thread may write.
public final class WorkerMetrics: Sendable {
    /// Keeps what two workers write on every request out of one cache line.
    private let padding = InlineArray<8, UInt64>(repeating: 0)
    let overheads = Histogram<OverheadScale>()
    let handshakes = HandshakeCounters()
    /// Access log lines that found no room and were let go.
    public let logDropped = Counter()
    /// Events that arrived for a connection already gone.
    public let staleEvents = Counter()
    /// Connections that were closed because they did not begin with a PROXY header that is believed.
    public let proxyHeadersRefused = Counter()
    /// Calls of `accept` that failed for want of descriptors or memory.
    public let acceptErrors = Counter()
    private let lingerEnds = InlineArray<3, Counter> { _ in Counter() }
    /// Bytes of clients that came after their answers, and were dropped.
    public let lingeredBytes = Counter()
    /// Requests refused before their tenant was known: the label `_none`.
    public let unattributed = TenantMetrics(tenant: "")
    private let abuses = InlineArray<6, Counter> { _ in Counter() }
    /// How late this worker is, on the average of the last tenth of a second: nanoseconds.
    public let lag = Level()
    private let trailingPadding = InlineArray<8, UInt64>(repeating: 0)

    /// The time that one request spent in the gateway itself, waiting for neither client nor upstream.
    public func overhead(nanoseconds: UInt64) { overheads.record(nanoseconds) }

    /// A TLS handshake has ended.
    public func handshake(_ version: HandshakeVersion, resumed: Bool, _ result: HandshakeResult) {
        handshakes.add(version, resumed: resumed, result)
    }

    /// An HTTP/2 connection was ended for abuse.
    public func abused(_ kind: H2AbuseKind) { abuses[kind.rawValue].add() }

    func abuses(_ kind: H2AbuseKind) -> UInt64 { abuses[kind.rawValue].value }

    /// A request was read on after its answer.
    public func lingered(_ end: LingerEnd) { lingerEnds[end.rawValue].add() }

    func lingers(_ end: LingerEnd) -> UInt64 { lingerEnds[end.rawValue].value }
}
