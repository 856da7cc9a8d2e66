/// The memory in which records and their texts lie: plain bytes side by side, without references, so that a request goes
/// through them without counting any. Given back whole: nothing of it may be used once this object is gone.
@safe public final class RecordMemory {
    private var blocks: [UnsafeMutableRawPointer] = unsafe []
    private var next = 0
    private var size = 0
    private static let blockSize = 64 << 10
    private static let alignment = 64

    public init() {}

    deinit { for unsafe block in unsafe blocks { unsafe block.deallocate() } }

    /// Room for `count` values, uninitialised.
    public func room<Value: BitwiseCopyable>(for count: Int, of type: Value.Type) -> UnsafeMutablePointer<Value> {
        let wanted = max(1, count) * MemoryLayout<Value>.stride
        let mask = MemoryLayout<Value>.alignment - 1
        // What is asked for fits behind `start` in the last block, and nobody else has been given it.
        var start = (next + mask) & ~mask
        if start + wanted > size {
            size = max(Self.blockSize, wanted)
            unsafe blocks.append(.allocate(byteCount: size, alignment: Self.alignment))
            start = 0
        }
        next = start + wanted
        return unsafe (blocks[blocks.count - 1] + start).bindMemory(to: Value.self, capacity: max(1, count))
    }

    public func keep<Value: BitwiseCopyable>(_ values: [Value]) -> UnsafeMutablePointer<Value> {
        let room = unsafe room(for: values.count, of: Value.self)
        unsafe room.initialize(from: values, count: values.count)
        return unsafe room
    }

    public func keep(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
        let room: UnsafeMutablePointer<UInt8> = unsafe keep(bytes)
        return unsafe UnsafeRawBufferPointer(start: room, count: bytes.count)
    }
}
