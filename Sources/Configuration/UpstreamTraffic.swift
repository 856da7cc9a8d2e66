/// Requests that wait for a connection to an upstream.
public struct QueueSettings: Sendable, Equatable {
    /// How many at once, on all loops together.
    public var size = 1000
    /// How long each, in nanoseconds.
    public var timeout: UInt64 = 2_000_000_000
    public init() {}
}
