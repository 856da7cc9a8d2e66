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

/// `size` pairs of a key and its count, filled from the front. A pair is one word, so that a reader sees both or neither
/// and a request touches one place: the key plus one in 16 bits, above a count of 48, which at a million a second lasts
/// nine years and then wraps.
private struct CounterCells<let size: Int>: ~Copyable, Sendable {
    private let cells = InlineArray<size, Atomic<UInt64>> { _ in Atomic(0) }
    private static var countBits: UInt64 { 48 }
    private static var countMax: UInt64 { 1 << countBits - 1 }

    /// False where every cell belongs to another key.
    func add(_ key: UInt16, _ amount: UInt64) -> Bool {
        let own = UInt64(key &+ 1) << Self.countBits
        for i in 0..<size {
            let cell = cells[i].load(ordering: .relaxed)
            guard cell == 0 || cell & ~Self.countMax == own else { continue }
            cells[i].store(own | (cell &+ amount) & Self.countMax, ordering: .relaxed)
            return true
        }
        return false
    }

    /// Whether every cell was taken.
    func forEach(_ body: (UInt16, UInt64) -> Void) -> Bool {
        for i in 0..<size {
            let cell = cells[i].load(ordering: .relaxed)
            if cell == 0 { return false }
            body(UInt16(cell >> Self.countBits) - 1, cell & Self.countMax)
        }
        return true
    }
}
