import Synchronization

/// Counts by a small key, for the few keys that are ever seen: an open table in order of first sight. The first `size`
/// keys stand in place; more go into a chain that is allocated as they come, never again after a key was first seen.
/// One writer, any reader.
struct KeyedCounter<let size: Int>: ~Copyable, Sendable {
    private let cells = CounterCells<size>()
    private let more = AtomicLazyReference<Chunk>()

    /// Only from the thread that owns this counter. `key` is less than `UInt16.max`.
    func add(_ key: UInt16, _ amount: UInt64 = 1) {
        if cells.add(key, amount) { return }
        var chunk = more.load() ?? more.storeIfNil(Chunk())
        while !chunk.cells.add(key, amount) { chunk = chunk.next.load() ?? chunk.next.storeIfNil(Chunk()) }
    }

    /// Each key seen so far, once, in order of first sight.
    func forEach(_ body: (_ key: UInt16, _ count: UInt64) -> Void) {
        guard cells.forEach(body) else { return }
        var chunk = more.load()
        while let current = chunk, current.cells.forEach(body) { chunk = current.next.load() }
    }

    private final class Chunk: Sendable {
        let cells = CounterCells<8>()
        let next = AtomicLazyReference<Chunk>()
    }
}

/// `size` pairs of a key and its count, filled from the front.
private struct CounterCells<let size: Int>: ~Copyable, Sendable {
    /// A key plus one; 0 is a cell that no key has taken.
    private let keys = InlineArray<size, Atomic<UInt16>> { _ in Atomic(0) }
    private let counts = InlineArray<size, Counter> { _ in Counter() }

    /// False where every cell belongs to another key.
    func add(_ key: UInt16, _ amount: UInt64) -> Bool {
        for i in 0..<size {
            let taken = keys[i].load(ordering: .relaxed)
            if taken == key &+ 1 {
                counts[i].add(amount)
                return true
            }
            if taken == 0 {
                counts[i].add(amount)
                // Releasing: whoever sees the key sees its count.
                keys[i].store(key &+ 1, ordering: .releasing)
                return true
            }
        }
        return false
    }

    /// Whether every cell was taken.
    func forEach(_ body: (UInt16, UInt64) -> Void) -> Bool {
        for i in 0..<size {
            let taken = keys[i].load(ordering: .acquiring)
            if taken == 0 { return false }
            body(taken - 1, counts[i].value)
        }
        return true
    }
}
