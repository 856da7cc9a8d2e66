import Synchronization

/// What the ledger's thread tells about its work.
public final class LedgerMetrics: Sendable {
    let flush = Histogram<RequestScale>()
    let unflushed = Atomic<UInt64>(0)
    let metersMended = Atomic<UInt64>(0)
    let clockJumps = Atomic<UInt64>(0)
    let damagedLines = Atomic<UInt64>(0)

    public init() {}

    /// An interval was written to the disk in so many nanoseconds. Only from the ledger's thread.
    public func flushed(nanoseconds: UInt64) { flush.record(nanoseconds) }

    /// The meter table's file was cut short, and was mended. From any thread.
    public func mendedMeters() { metersMended.add(1, ordering: .relaxed) }

    /// The wall clock jumped. From any thread.
    public func clockJumped() { clockJumps.add(1, ordering: .relaxed) }

    /// Lines of the ledger that are not as they were written, or not there, and can't be made good.
    public func setDamaged(_ count: UInt64) { damagedLines.store(count, ordering: .relaxed) }

    /// Somebody has read a part of it and found so many.
    public func found(damaged count: UInt64) { damagedLines.max(count, ordering: .relaxed) }

    /// Requests that were admitted and are not in the ledger, although they should be.
    public func setUnflushed(_ count: UInt64) { unflushed.store(count, ordering: .relaxed) }
}
