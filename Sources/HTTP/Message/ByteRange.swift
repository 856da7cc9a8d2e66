/// Offsets into the bytes that were parsed. Ranges are kept instead of pointers, because the buffer may move between
/// two reads.
public struct ByteRange: Sendable, Equatable {
    public var start: UInt32
    public var count: UInt32

    @inline(__always)
    public init(start: UInt32, count: UInt32) { (self.start, self.count) = (start, count) }

    /// From `start` up to, not including, `end`. Both lie inside a head, whose size is bounded far below 4 GiB.
    @inline(__always)
    init(_ start: Int, _ end: Int) {
        self.init(start: UInt32(truncatingIfNeeded: start), count: UInt32(truncatingIfNeeded: end &- start))
    }

    public static let empty = ByteRange(start: 0, count: 0)
    @inline(__always) public var isEmpty: Bool { count == 0 }
    @inline(__always) public var first: Int { Int(start) }
    @inline(__always) public var end: Int { Int(start) &+ Int(count) }
}

extension UnsafeRawBufferPointer {
    /// The bytes of `range`. The range must lie inside: it comes from a head parsed out of these very bytes.
    @inline(__always)
    public subscript(range: ByteRange) -> UnsafeRawBufferPointer {
        precondition(range.end <= count, "a range of another buffer")
        guard let base = baseAddress else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeRawBufferPointer(start: base + range.first, count: Int(range.count))
    }
}
