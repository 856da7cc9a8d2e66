/// The memory in which records and their texts lie: plain bytes side by side, without references, so that a request goes
/// through them without counting any. Given back whole.
public final class RecordMemory {
    private var blocks: [UnsafeMutableRawPointer] = []
    private var next = 0
    private var size = 0
    private static let blockSize = 64 << 10
    private static let alignment = 64

    public init() {}

    deinit { for block in blocks { block.deallocate() } }

    /// Room for `count` values, uninitialised.
    public func room<Value: BitwiseCopyable>(for count: Int, of type: Value.Type) -> UnsafeMutablePointer<Value> {
        let wanted = max(1, count) * MemoryLayout<Value>.stride
        let mask = MemoryLayout<Value>.alignment - 1
        var start = (next + mask) & ~mask
        if start + wanted > size {
            size = max(Self.blockSize, wanted)
            blocks.append(.allocate(byteCount: size, alignment: Self.alignment))
            start = 0
        }
        next = start + wanted
        return (blocks[blocks.count - 1] + start).bindMemory(to: Value.self, capacity: max(1, count))
    }

    public func keep<Value: BitwiseCopyable>(_ values: [Value]) -> UnsafeMutablePointer<Value> {
        let room = room(for: values.count, of: Value.self)
        room.initialize(from: values, count: values.count)
        return room
    }

    public func keep(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
        let room: UnsafeMutablePointer<UInt8> = keep(bytes)
        return UnsafeRawBufferPointer(start: room, count: bytes.count)
    }
}
