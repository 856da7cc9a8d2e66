/// The meter table's own time, which goes on over restarts and boots and never back: what it shows at a monotonic time.
/// The same in every process of a boot.
public struct MeterTime: Sendable, BitwiseCopyable {
    /// Its unit is a sixteenth of a nanosecond.
    public static let ticksPerNanosecond: UInt64 = 16
    /// Nanoseconds to add to the monotonic clock.
    let offset: UInt64

    /// - Parameter monotonic: nanoseconds.
    @inline(__always)
    public func ticks(monotonic: UInt64) -> UInt64 { (monotonic &+ offset) &* Self.ticksPerNanosecond }
}
