import Base
import Crypto

/// Tokens that were verified, by the SHA-256 of their text, in bounded memory: sets of eight places, in which a new token
/// takes an empty one or that of the token which expires first.
///
/// As in `KeyTable`, a place of 8 bytes says whose token it probably is and an entry of 64 whether it is. Entries stand in
/// the order in which the tokens came: what is in use is in few pages, and the processor remembers few translations.
final class TokenCache {
    private struct Place {
        var tag: UInt16 = 0
        var entry: UInt16 = 0
        /// -1 is an empty place.
        var tenant: Int32 = -1
    }

    /// 64 bytes, and so one line of the processor's cache.
    private struct Entry {
        var digest: Digest256
        var token: VerifiedToken
        /// Of the issuer's keys.
        var version: UInt32
    }

    /// So many that 10,000 tokens fall out of a set next to never: a token that does costs a signature each time it comes.
    static let ways = 8
    static let sets = 8192
    private static let capacity = sets * ways
    /// Made when the first token comes.
    private var places: UnsafeMutablePointer<Place>?
    /// Room for as many as there are places, of which only what is used becomes memory.
    private let entries: UnsafeMutablePointer<Entry>
    private var count = 0

    init() {
        entries = Self.room(for: Entry.self)
    }

    deinit {
        entries.deinitialize(count: count)
        UnsafeMutableRawPointer(entries).deallocate()
        if let places { UnsafeMutableRawPointer(places).deallocate() }
    }

    private static func room<Value>(for type: Value.Type) -> UnsafeMutablePointer<Value> {
        UnsafeMutableRawPointer.allocate(byteCount: capacity * MemoryLayout<Value>.stride, alignment: 64)
            .bindMemory(to: type, capacity: capacity)
    }

    private func makePlaces() -> UnsafeMutablePointer<Place> {
        let made = Self.room(for: Place.self)
        made.initialize(repeating: Place(), count: Self.capacity)
        places = made
        return made
    }

    @inline(__always)
    private func set(of digest: Digest256, in places: UnsafeMutablePointer<Place>) -> UnsafeMutablePointer<Place> {
        places + (Int(truncatingIfNeeded: digest.words.1) & (Self.sets - 1)) * Self.ways
    }

    @inline(__always)
    private func tag(of digest: Digest256) -> UInt16 { UInt16(truncatingIfNeeded: digest.words.2) }

    /// Asks for the memory in which `find` will look.
    @inline(__always)
    func prefetch(_ digest: Digest256) {
        if let places { Base.prefetch(set(of: digest, in: places), lines: 1) }
    }

    /// - Parameter probable: called with the index of the tenant whose token it may be, before that is certain.
    func find(
        _ digest: Digest256, probable: (Int) -> Void = { _ in }
    ) -> (token: VerifiedToken, version: UInt32)? {
        guard let places else { return nil }
        let (set, tag) = (set(of: digest, in: places), tag(of: digest))
        for way in 0..<Self.ways where set[way].tag == tag && set[way].tenant >= 0 {
            let entry = entries + Int(set[way].entry)
            Base.prefetch(entry, lines: 1)
            probable(Int(set[way].tenant))
            if entry.pointee.digest == digest { return (entry.pointee.token, entry.pointee.version) }
        }
        return nil
    }

    func insert(_ digest: Digest256, _ token: VerifiedToken, version: UInt32) {
        let made = Entry(digest: digest, token: token, version: version)
        let place = place(for: digest)
        if place.pointee.tenant < 0 {
            place.pointee.entry = UInt16(count)
            (entries + count).initialize(to: made)
            count += 1
        } else {
            entries[Int(place.pointee.entry)] = made
        }
        (place.pointee.tag, place.pointee.tenant) = (tag(of: digest), Int32(token.tenant))
    }

    /// Where it is, else an empty place, else that of the token which expires first.
    private func place(for digest: Digest256) -> UnsafeMutablePointer<Place> {
        let set = set(of: digest, in: places ?? makePlaces())
        var first = set
        for way in 0..<Self.ways {
            let place = set + way
            // Places are filled from the front.
            if place.pointee.tenant < 0 || entries[Int(place.pointee.entry)].digest == digest { return place }
            if entries[Int(place.pointee.entry)].token.expires < entries[Int(first.pointee.entry)].token.expires { first = place }
        }
        return first
    }

    func removeAll() {
        entries.deinitialize(count: count)
        count = 0
        places?.update(repeating: Place(), count: Self.capacity)
    }
}
