import Base

/// What one worker counts for one tenant. Made at the tenant's first request on that worker and kept until the process
/// ends: a reload never resets a count. Only that worker's thread may write; any thread may read.
public final class TenantMetrics: Sendable {
    // In this order, what nearly every request writes lies in two cache lines: bytes, the first codes, the sum and the
    // first buckets.
    let requestBytes = Counter()
    let responseBytes = Counter()
    let codes = KeyedCounter<3>()
    let duration = Histogram<RequestScale>()
    let refusals = KeyedCounter<2>()
    /// By `grpc-status`.
    let calls = KeyedCounter<1>()
    /// By what was short.
    let sheds = KeyedCounter<1>()
    /// What services that decide about requests were asked, and have said.
    let decisions = KeyedCounter<1>()
    /// Of them, those that are left alone at present.
    public let openBreakers = Gauge()
    /// The `tenant` label; empty where a request was refused before its tenant was known.
    public let tenant: String

    init(tenant: String) { self.tenant = tenant }

    /// A request has ended: counts it under the status sent and records its duration, from the first byte of the
    /// request to the last of the answer. `code` is 100 to 599; anything else stands for "no status was sent" and
    /// counts as 0.
    public func finished(code: Int, nanoseconds: UInt64) {
        codes.add(code >= 100 && code < 600 ? UInt16(truncatingIfNeeded: code) : 0)
        duration.record(nanoseconds)
    }

    /// A call of gRPC has ended with that status. Beside `finished`, not instead of it.
    public func called(status: UInt16) { calls.add(min(status, 999)) }

    /// The gateway answered by itself. Beside `finished`, not instead of it.
    public func refused(_ reason: Refusal) { refusals.add(UInt16(reason.rawValue)) }

    /// A request, or a connection, was not served for the sake of others.
    public func shed(_ reason: Shed) { sheds.add(UInt16(reason.rawValue)) }

    /// Something has happened with a service that decides about requests.
    public func decided(_ event: DecisionEvent) { decisions.add(UInt16(event.rawValue)) }

    /// Bytes of a request's body that arrived from the client.
    public func received(bytes: UInt64) { requestBytes.add(bytes) }

    /// Bytes of an answer's body that went to the client.
    public func sent(bytes: UInt64) { responseBytes.add(bytes) }

    /// Asks for what nearly every request writes.
    @inline(__always)
    public static func prefetch(_ metrics: Uncounted<TenantMetrics>) { metrics.prefetch(lines: 2) }

    /// Requests finished so far.
    var requests: UInt64 {
        var total: UInt64 = 0
        for i in 0..<15 { total &+= duration.buckets[i].value }
        return total
    }
}
