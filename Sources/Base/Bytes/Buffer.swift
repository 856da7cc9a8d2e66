#if canImport(Glibc)
    import Glibc
#endif

/// A contiguous run of bytes with a readable window, owned by one holder. Its memory comes from a `BufferPool` and goes
/// back there by itself.
///
///     base        start             end        capacity
///      |  consumed  |    readable    |  writable  |
///
/// The four keep this order, whatever is called: each step that would break it ends the process.
@safe public struct Buffer: ~Copyable {
    public private(set) var base: UnsafeMutableRawPointer
    public private(set) var capacity: Int
    public private(set) var start = 0
    public private(set) var end = 0
    /// Outlives all of its buffers.
    private let pool: Uncounted<BufferPool>

    /// At least `capacity` bytes of room.
    public init(capacity: Int, from pool: BufferPool) {
        self.pool = unsafe Uncounted(pool)
        unsafe (base, self.capacity) = pool.take(capacity)
    }

    deinit { pool.follow { unsafe $0.give(base, capacity) } }

    @inlinable public var count: Int { end - start }
    @inlinable public var isEmpty: Bool { start == end }
    @inlinable public var readable: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base + start, count: end - start) }
    @inlinable public var writable: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base + end, count: capacity - end)
    }

    /// Makes sure that `count` more bytes can be written: moves the readable window to the front, or to a larger region.
    public mutating func reserve(_ count: Int) {
        if capacity - end >= count { return }
        if capacity - self.count >= count {
            unsafe memmove(base, base + start, self.count)
        } else {
            let (larger, room) = unsafe pool.follow { unsafe $0.take(max(self.count + count, 2 * capacity)) }
            unsafe memcpy(larger, base + start, self.count)
            pool.follow { unsafe $0.give(base, capacity) }
            unsafe (base, capacity) = (larger, room)
        }
        (start, end) = (0, self.count)
    }

    /// `count` bytes were written into `writable`.
    public mutating func produced(_ count: Int) {
        precondition(count >= 0 && count <= capacity - end)
        end += count
    }

    /// `count` readable bytes are done with.
    public mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= self.count)
        start += count
        if start == end { (start, end) = (0, 0) }
    }

    public mutating func removeAll() { (start, end) = (0, 0) }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        unsafe memcpy(base + end, source, bytes.count)
        end += bytes.count
    }
}

extension Optional where Wrapped == Buffer {
    /// Bytes that can be read.
    public var count: Int {
        switch self {
        case .some(let buffer): return buffer.count
        case .none: return 0
        }
    }

    /// What can be read: nothing where there is no buffer.
    public var readable: UnsafeRawBufferPointer {
        switch self {
        case .some(let buffer): return unsafe buffer.readable
        case .none: return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        }
    }
}

/// The spare memory of one event loop, by powers of two. Last in, first out: what is handed out next was used last and is
/// still in the processor's cache. Not thread-safe: one pool a loop, and it outlives every buffer.
@safe public final class BufferPool {
    /// What one power of two may keep; more goes back to the allocator.
    private static let keptBytes = 4 << 20
    private static let smallest = 12  // 4 KiB
    private static let largest = 20  // 1 MiB
    private var free: [[UnsafeMutableRawPointer]]

    public init() {
        unsafe free = Array(repeating: [], count: Self.largest - Self.smallest + 1)
    }

    deinit {
        for unsafe list in unsafe free { for unsafe pointer in unsafe list { unsafe pointer.deallocate() } }
    }

    /// The exponent of the smallest power of two that holds `count`.
    private func exponent(_ count: Int) -> Int {
        max(Self.smallest, Int.bitWidth - (max(count, 1) - 1).leadingZeroBitCount)
    }

    func take(_ count: Int) -> (UnsafeMutableRawPointer, Int) {
        let e = exponent(count)
        if e <= Self.largest, let spare = unsafe free[e - Self.smallest].popLast() { return unsafe (spare, 1 << e) }
        return (UnsafeMutableRawPointer.allocate(byteCount: 1 << e, alignment: 64), 1 << e)
    }

    func give(_ pointer: UnsafeMutableRawPointer, _ capacity: Int) {
        let e = exponent(capacity)
        if e <= Self.largest, unsafe free[e - Self.smallest].count << e < Self.keptBytes {
            unsafe free[e - Self.smallest].append(pointer)
        } else {
            unsafe pointer.deallocate()
        }
    }
}
