/// From where on something counts as short.
public struct OverloadSettings: Sendable, Equatable {
    /// Bytes; nil: a part of what the machine, or the control group, has.
    public var memory: UInt64?
    /// Percent of those that the process may have.
    public var descriptors: UInt64 = 90
    /// Nanoseconds.
    public var lag: UInt64 = 50_000_000
    public init() {}
}
