import Base
import Synchronization

/// A word of 64 bits in the memory of a table. It stays where it is, and mapped, for as long as the table lives, and that
/// is as long as the process. What happens to it is atomic, whoever else has the file open: what is read acquires, what is
/// written releases.
@safe struct MappedWord: Sendable, BitwiseCopyable {
    private nonisolated(unsafe) let pointer: UnsafeMutablePointer<Atomic<UInt64>>

    /// - Parameter index: of a word of 64 bits, from `memory` on.
    @unsafe @inline(__always)
    init(_ index: Int, in memory: UnsafeMutableRawPointer) {
        unsafe pointer = memory.assumingMemoryBound(to: Atomic<UInt64>.self) + index
    }

    @inline(__always)
    var address: UInt { UInt(bitPattern: unsafe pointer) }

    /// Asks for the cache line that it stands in.
    @inline(__always)
    func prefetch() { unsafe Base.prefetch(pointer, lines: 1) }

    @inline(__always)
    func load() -> UInt64 { unsafe pointer.pointee.load(ordering: .acquiring) }

    @inline(__always)
    func store(_ value: UInt64) { unsafe pointer.pointee.store(value, ordering: .releasing) }

    /// What stood there before.
    @inline(__always)
    func exchange(_ value: UInt64) -> UInt64 { unsafe pointer.pointee.exchange(value, ordering: .acquiringAndReleasing) }

    /// Wraps. What stands there now.
    @inline(__always) @discardableResult
    func add(_ amount: UInt64) -> UInt64 {
        unsafe pointer.pointee.wrappingAdd(amount, ordering: .acquiringAndReleasing).newValue
    }

    /// Wraps.
    @inline(__always)
    func subtract(_ amount: UInt64) { unsafe pointer.pointee.wrappingSubtract(amount, ordering: .acquiringAndReleasing) }

    /// Puts `new` where `expected` stands. Whether it did, and what stood there.
    @inline(__always) @discardableResult
    func replace(_ expected: UInt64, with new: UInt64) -> (exchanged: Bool, original: UInt64) {
        unsafe pointer.pointee.compareExchange(expected: expected, desired: new, ordering: .acquiringAndReleasing)
    }

    /// Not below `value` from here on.
    func raise(to value: UInt64) { unsafe pointer.pointee.max(value, ordering: .acquiringAndReleasing) }

    /// Leaves these bits as they are, and clears the others.
    func mask(_ bits: UInt64) { unsafe pointer.pointee.bitwiseAnd(bits, ordering: .acquiringAndReleasing) }
}
