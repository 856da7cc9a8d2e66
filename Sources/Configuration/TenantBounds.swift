/// What a tenant may hold at once, beside the limits that are counted in the meter table; nil is without bound.
public struct TenantBounds: Sendable, Equatable {
    /// Connections of its clients.
    public var connections: Int?
    /// Requests under way on HTTP/2 connections.
    public var streams: Int?
    /// Per cent of an upstream's connections, while others want them.
    public var share: Int?
    public init() {}

    /// There are none.
    public var isEmpty: Bool { self == TenantBounds() }

    /// These with nearer ones on top.
    func under(_ nearer: TenantBounds) -> TenantBounds {
        var merged = TenantBounds()
        merged.connections = nearer.connections ?? connections
        merged.streams = nearer.streams ?? streams
        merged.share = nearer.share ?? share
        return merged
    }
}
