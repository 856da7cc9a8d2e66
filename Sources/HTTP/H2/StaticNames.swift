import Base
import Glibc

/// Finds names, and names with values, among the static entries. Immutable; one for all connections.
final class StaticNames: Sendable {
    static let shared = StaticNames()

    /// By hash, the first entry that has the name; 0 is none. Never full: a quarter of it at most is used.
    private let places: [UInt8]
    private static let size = 256

    private init() {
        var places = [UInt8](repeating: 0, count: Self.size)
        for index in 1...StaticTable.count {
            let name = StaticTable.entry(index).name
            let hash = unsafe FieldHash.of(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
            var place = Int(hash) & (Self.size - 1)
            while places[place] != 0, !Self.same(StaticTable.entry(Int(places[place])).name, name) {
                place = (place + 1) & (Self.size - 1)
            }
            if places[place] == 0 { places[place] = UInt8(index) }
        }
        self.places = places
    }

    private static func same(_ a: StaticString, _ b: StaticString) -> Bool {
        unsafe equal(a, UnsafeRawBufferPointer(start: b.utf8Start, count: b.utf8CodeUnitCount))
    }

    private static func equal(_ text: StaticString, _ bytes: UnsafeRawBufferPointer) -> Bool {
        // Text of the program.
        unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount).same(as: bytes)
    }

    /// The first entry of that name (lower case), and whether its value is that one too; entry 0 where there is none.
    /// - Parameter hash: of the name.
    func find(_ name: UnsafeRawBufferPointer, hash: UInt32, value: UnsafeRawBufferPointer) -> (entry: Int, hasValue: Bool) {
        var place = Int(hash) & (Self.size - 1)
        while places[place] != 0 {
            let first = Int(places[place])
            if unsafe Self.equal(StaticTable.entry(first).name, name) {
                var entry = first
                // Entries of one name stand together.
                while entry <= StaticTable.count, unsafe Self.equal(StaticTable.entry(entry).name, name) {
                    if unsafe Self.equal(StaticTable.entry(entry).value, value) { return (entry, true) }
                    entry += 1
                }
                return (first, false)
            }
            place = (place + 1) & (Self.size - 1)
        }
        return (0, false)
    }
}

/// Eight bytes at a time. Collisions cost a comparison, and a peer has nothing to choose here that is not bounded.
enum FieldHash {
    static let start: UInt32 = 2_166_136_261

    static func of(_ bytes: UnsafeRawBufferPointer, from start: UInt32 = start) -> UInt32 {
        var hash = UInt64(start) << 8 | UInt64(truncatingIfNeeded: bytes.count & 0xFF)
        func add(_ word: UInt64) {
            hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 32
        }
        var at = 0
        while bytes.count - at >= 8 {
            unsafe add(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at += 8
        }
        var rest: UInt64 = 0
        while at < bytes.count {
            rest = unsafe rest << 8 | UInt64(bytes[at])
            at += 1
        }
        add(rest)
        return UInt32(truncatingIfNeeded: hash)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether both have the same bytes.
    @inline(__always)
    func same(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count, let one = baseAddress, let two = other.baseAddress else { return count == other.count }
        return unsafe memcmp(one, two, count) == 0
    }
}
