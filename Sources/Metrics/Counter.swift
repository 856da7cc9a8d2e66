import Synchronization

/// A count that one thread moves and any thread reads. A relaxed load and store, not an atomic addition: with a single
/// writer nothing can be lost between the two, and no locked instruction is paid. It wraps, it never traps.
public struct Counter: ~Copyable, Sendable {
    private let cell = Atomic<UInt64>(0)

    public init() {}

    /// Only from the thread that owns this counter.
    @inline(__always)
    public func add(_ amount: UInt64 = 1) {
        cell.store(cell.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    @inline(__always)
    public var value: UInt64 { cell.load(ordering: .relaxed) }
}

/// A figure that one thread sets and any thread reads.
public struct Level: ~Copyable, Sendable {
    private let cell = Atomic<UInt64>(0)

    public init() {}

    public func set(_ value: UInt64) { cell.store(value, ordering: .relaxed) }

    public var value: UInt64 { cell.load(ordering: .relaxed) }
}

/// A level that one thread moves up and down and any thread reads.
public struct Gauge: ~Copyable, Sendable {
    private let cell = Atomic<Int>(0)

    public init() {}

    /// Only from the thread that owns this gauge.
    @inline(__always)
    public func add(_ amount: Int) {
        cell.store(cell.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    @inline(__always)
    public var value: Int { cell.load(ordering: .relaxed) }
}
