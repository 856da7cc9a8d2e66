/// A moment by both clocks: neither alone tells how old something is. Monotonic time can't be set, but stands still while
/// the machine sleeps; wall time goes on, but can be set back.
public struct Moment: Sendable, Equatable {
    /// Nanoseconds.
    public var monotonic: UInt64
    /// Nanoseconds since 1970.
    public var wall: UInt64

    public init(monotonic: UInt64, wall: UInt64) { (self.monotonic, self.wall) = (monotonic, wall) }

    /// Nanoseconds that have passed, by the clock that says more: whatever happens to one of them, nothing gets younger.
    public func elapsed(until now: Moment) -> UInt64 {
        max(now.monotonic > monotonic ? now.monotonic - monotonic : 0, now.wall > wall ? now.wall - wall : 0)
    }
}
