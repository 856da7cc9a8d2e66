import Base
import Configuration
import Glibc
import HTTP

/// The routes of one block, compiled: a request finds the one that is for it by a single walk along its path, however many there
/// are. Paths are nodes of a hash table; a node knows the next shorter one, so that what the conditions of a longer path refuse is
/// found without another walk.
struct RouteTable {
    struct Record {
        /// Places of nodes by their hash; -1 is empty.
        var slots: UnsafePointer<Int32>
        /// Their number less one, which is a power of two.
        var mask: UInt32
        /// Bytes of the longest path.
        var longest: Int32
        /// Which lengths of paths there are, each by the rest of its division by 64.
        var lengths: UInt64
        /// The node of all paths; -1 where no route is about all.
        var root: Int32
        var nodes: UnsafePointer<Node>
        var routes: UnsafePointer<Route.Record>
        /// One of its routes asks for a parameter of the query.
        var asksForParameters: Bool
        /// The routes of the next block; nil: there are no more.
        var next: UnsafePointer<Record>?
    }

    /// One path.
    struct Node {
        var path: UnsafeRawPointer
        var count: Int32
        var hash: UInt32
        /// The longest node that is about a part of its path; -1: there is none.
        var shorter: Int32
        /// Of its routes: those for just this path, then those for all below it, in the order in which they are asked.
        var first: Int32
        var exactCount: Int32
        var prefixCount: Int32
    }

    let record: UnsafePointer<Record>

    /// - Parameter path: normalised.
    func find(
        _ path: UnsafeRawBufferPointer, _ head: borrowing RequestHead, _ method: UnsafeRawBufferPointer
    ) -> UnsafePointer<Route.Record>? {
        var place = longestNode(path)
        while place >= 0 {
            let node = record.pointee.nodes[Int(place)]
            let (exact, prefix) = (Int(node.exactCount), Int(node.prefixCount))
            let start = Int(node.count) == path.count ? 0 : exact
            for number in start..<exact + prefix {
                let route = record.pointee.routes + (Int(node.first) + number)
                guard let conditions = route.pointee.conditions else { return route }
                if RequestConditions(record: conditions).hold(for: head, method) { return route }
            }
            place = node.shorter
        }
        return nil
    }

    /// Looks only where a path of one of the lengths that there are could end: before a slash, or at the end of all.
    private func longestNode(_ path: UnsafeRawBufferPointer) -> Int32 {
        var best = record.pointee.root
        guard let bytes = path.baseAddress else { return best }
        let lengths = record.pointee.lengths
        let end = min(path.count, Int(record.pointee.longest))
        var hash = PrefixHash()
        var block = 0
        while block <= end {
            var rest = lengths
            while rest != 0 {
                let at = block &+ rest.trailingZeroBitCount
                rest &= rest &- 1
                if at > end { return best }
                if at < path.count, bytes.load(fromByteOffset: at, as: UInt8.self) != 0x2F { continue }
                if let found = node(hash.of(bytes, at), bytes, at) { best = found }
            }
            block &+= 64
        }
        return best
    }

    /// The node of the first `count` bytes.
    private func node(_ hash: UInt32, _ path: UnsafeRawPointer, _ count: Int) -> Int32? {
        var at = hash & record.pointee.mask
        while true {
            let place = record.pointee.slots[Int(at)]
            guard place >= 0 else { return nil }
            let node = record.pointee.nodes + Int(place)
            if node.pointee.hash == hash, Int(node.pointee.count) == count, memcmp(node.pointee.path, path, count) == 0 { return place }
            at = (at &+ 1) & record.pointee.mask
        }
    }

    /// Hashes of ever longer beginnings of one path. Paths of routes come from the configuration: nobody outside can choose
    /// colliding ones.
    private struct PrefixHash {
        /// Of whole words.
        private var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        private var hashed = 0

        mutating func of(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt32 {
            while hashed &+ 8 <= count {
                state = Self.mix(state, bytes.loadUnaligned(fromByteOffset: hashed, as: UInt64.self))
                hashed &+= 8
            }
            // The last eight bytes again, those of the rest among them.
            var rest = UInt64(truncatingIfNeeded: count)
            if count >= 8 {
                rest ^= bytes.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            } else {
                for at in 0..<count { rest = rest << 8 | UInt64(bytes.load(fromByteOffset: at, as: UInt8.self)) }
            }
            return UInt32(truncatingIfNeeded: Self.mix(state, rest) >> 16)
        }

        private static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
            let product = (state ^ word).multipliedFullWidth(by: 0xBF58_476D_1CE4_E5B9)
            return product.high ^ product.low
        }
    }

    // MARK: Making one

    /// A route and what it is matched by.
    struct Entry: Hashable {
        var path: String
        var isExact: Bool
        /// How many conditions it has.
        var weight: Int
        var source: RouteSettings.Source
        var route: Route.Record

        /// Without the slash at its end, where that says nothing.
        fileprivate var key: Substring { !isExact && path.hasSuffix("/") ? path.dropLast() : path[...] }
    }

    /// - Parameter block: its routes, in the order of the file.
    static func make(_ block: ArraySlice<Entry>, next: UnsafePointer<Record>?, in memory: RecordMemory) -> UnsafePointer<Record> {
        let entries = Array(block)
        var keys: [Substring] = []
        var places: [Substring: Int] = [:]
        var members: [[Int]] = []
        for (number, entry) in entries.enumerated() {
            let place = places[entry.key] ?? keys.count
            if place == keys.count {
                places[entry.key] = place
                keys.append(entry.key)
                members.append([])
            }
            members[place].append(number)
        }
        var routes: [Route.Record] = []
        var nodes: [Node] = []
        for (key, numbers) in zip(keys, members) {
            // Of equal ones the file's order holds.
            let order = numbers.sorted {
                let (a, b) = (entries[$0], entries[$1])
                return (a.isExact ? 0 : 1, -a.weight, $0) < (b.isExact ? 0 : 1, -b.weight, $1)
            }
            let exact = order.count { entries[$0].isExact }
            let bytes = memory.keep(Array(key.utf8))
            var hash = PrefixHash()
            nodes.append(
                Node(
                    path: bytes.baseAddress!, count: Int32(bytes.count), hash: hash.of(bytes.baseAddress!, bytes.count),
                    shorter: shorter(key, places), first: Int32(routes.count), exactCount: Int32(exact),
                    prefixCount: Int32(order.count - exact)))
            routes += order.map { entries[$0].route }
        }
        var capacity = 8
        while capacity < 2 * nodes.count { capacity *= 2 }
        var slots = Array(repeating: Int32(-1), count: capacity)
        for (place, node) in nodes.enumerated() {
            var at = Int(node.hash) & (capacity - 1)
            while slots[at] >= 0 { at = (at + 1) & (capacity - 1) }
            slots[at] = Int32(place)
        }
        let record = Record(
            slots: UnsafePointer(memory.keep(slots)), mask: UInt32(capacity - 1), longest: nodes.map(\.count).max() ?? 0,
            lengths: nodes.reduce(0) { $0 | 1 << UInt64($1.count & 63) }, root: Int32(places[""] ?? -1),
            nodes: UnsafePointer(memory.keep(nodes)), routes: UnsafePointer(memory.keep(routes)),
            asksForParameters: routes.contains { ($0.conditions?.pointee.query.count ?? 0) > 0 }, next: next)
        return UnsafePointer(memory.keep([record]))
    }

    private static func shorter(_ key: Substring, _ places: [Substring: Int]) -> Int32 {
        var key = key
        while let slash = key.lastIndex(of: "/") {
            key = key[..<slash]
            if let place = places[key] { return Int32(place) }
        }
        return -1
    }
}
