/// What one worker counts for one upstream. Only that worker's thread may write.
public final class UpstreamMetrics: Sendable {
    /// The name in the configuration.
    public let upstream: String
    let duration = Histogram<RequestScale>()

    init(upstream: String) { self.upstream = upstream }

    /// An upstream has answered a request: from the first byte sent to it to the last byte of its answer.
    public func finished(nanoseconds: UInt64) { duration.record(nanoseconds) }
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

    init(key: Key) { self.key = key }

    /// The server has answered with `code`, 100 to 599; anything else (an attempt without an answer) counts as 0.
    public func finished(code: Int) {
        codes.add(code >= 100 && code < 600 ? UInt16(truncatingIfNeeded: code) : 0)
    }
}
