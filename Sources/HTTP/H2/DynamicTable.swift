import Base

#if canImport(Glibc)
    import Glibc
#endif

/// The entries that one side of a connection has added to its HPACK table, newest first (RFC 7541 section 2.3.2). Takes memory
/// as it grows, and none before the first entry.
struct DynamicTable: ~Copyable {
    /// What an entry counts beside its bytes (section 4.1).
    static let overhead = 32
    /// No more than this is ever kept, whatever a peer would bear.
    static let sizeMax = 4096

    private struct Entry {
        /// Of the name in `bytes`; the value follows it.
        var start = 0
        var nameCount = 0
        var valueCount = 0

        var count: Int { nameCount + valueCount }
    }

    /// Names and values, oldest first, without gaps; what is in front of the oldest was evicted.
    private var bytes: [UInt8] = []
    /// Behind the newest entry in `bytes`.
    private var end = 0
    /// A ring: its size is a power of two.
    private var entries: [Entry] = []
    /// The oldest one.
    private var first = 0
    private(set) var count = 0
    /// As section 4.1 counts it.
    private(set) var size = 0
    private(set) var limit: Int

    init(limit: Int) { self.limit = min(limit, Self.sizeMax) }

    /// Keeps no more than that from now on.
    mutating func shrink(to limit: Int) {
        self.limit = min(limit, Self.sizeMax)
        while size > self.limit { evict() }
    }

    /// One that is larger than the table empties it (section 4.4).
    mutating func add(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let wanted = name.count + value.count + Self.overhead
        guard wanted <= limit else { return removeAll() }
        while size + wanted > limit { evict() }
        makeRoom(for: name.count + value.count)
        let start = end
        // Both fit: there is room for them behind `end`.
        unsafe bytes.withUnsafeMutableBytes { room in
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[start...]).copyMemory(from: name)
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[(start + name.count)...]).copyMemory(from: value)
        }
        entries[(first + count) & (entries.count - 1)] = Entry(start: start, nameCount: name.count, valueCount: value.count)
        count += 1
        end += name.count + value.count
        size += wanted
    }

    /// Lends name and value of an entry; 0 is the newest.
    /// - Precondition: there are more than `index`.
    func with<Result>(_ index: Int, _ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Result) -> Result {
        precondition(index >= 0 && index < count)
        let entry = entries[(first + count - 1 - index) & (entries.count - 1)]
        return unsafe bytes.withUnsafeBytes { room in
            let name = unsafe UnsafeRawBufferPointer(rebasing: room[entry.start..<(entry.start + entry.nameCount)])
            let value = unsafe UnsafeRawBufferPointer(
                rebasing: room[(entry.start + entry.nameCount)..<(entry.start + entry.count)])
            return unsafe body(name, value)
        }
    }

    private mutating func evict() {
        size -= entries[first].count + Self.overhead
        first = (first + 1) & (entries.count - 1)
        count -= 1
    }

    mutating func removeAll() { (count, size, end) = (0, 0, 0) }

    private mutating func makeRoom(for needed: Int) {
        if count == entries.count { growEntries() }
        if end + needed <= bytes.count { return }
        // What was evicted lies in front: all moves up before more memory is taken.
        let start = count > 0 ? entries[first].start : end
        let live = end - start
        let capacity = max(bytes.count, 512)
        var grown = capacity
        while grown < live + needed { grown *= 2 }
        if grown > bytes.count {
            bytes.append(contentsOf: repeatElement(0, count: grown - bytes.count))
        }
        unsafe bytes.withUnsafeMutableBytes { room in
            guard let base = room.baseAddress, start > 0 else { return }
            unsafe memmove(base, base + start, live)
        }
        for place in 0..<count { entries[(first + place) & (entries.count - 1)].start -= start }
        end = live
    }

    private mutating func growEntries() {
        let ordered = (0..<count).map { entries[(first + $0) & (entries.count - 1)] }
        let capacity = max(16, entries.count * 2)
        entries = ordered + Array(repeating: Entry(), count: capacity - count)
        first = 0
    }
}
