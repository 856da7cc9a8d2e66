import Base
import Configuration
import Crypto

/// All API keys of one configuration by their digests: one digest and one probe, however many there are. Immutable.
///
/// A slot of 8 bytes says whose key it probably is, and an entry of 32 at the same place whether it is. Slots are few
/// enough to stay in the processor's caches, entries are not: while one is on its way, so can be everything else that a
/// request of that tenant needs.
public final class KeyTable: @unchecked Sendable {
    /// Whose key it is.
    public struct Owner: Sendable, BitwiseCopyable, Equatable {
        /// Index of the tenant in its directory.
        public var tenant: Int32
        /// Wall time, in seconds since 1970, from which on it is no longer good; `never` for none.
        public var expires: UInt32
        /// Position in the order of the configuration.
        public var position: Int

        public static let never = UInt32.max
    }

    private struct Slot {
        var tag: UInt32
        /// -1 is an empty slot.
        var tenant: Int32
    }

    private struct Entry {
        /// All of the digest but the word that says where it lies: 192 bits, more than a key has.
        var digest: (UInt64, UInt64, UInt64)
        var expires: UInt32
        var position: UInt32

        /// Without a branch that depends on where they differ.
        @inline(__always)
        func isOf(_ other: Digest256) -> Bool {
            (digest.0 ^ other.words.1) | (digest.1 ^ other.words.2) | (digest.2 ^ other.words.3) == 0
        }
    }

    private let slots: UnsafeMutablePointer<Slot>
    private let entries: UnsafeMutablePointer<Entry>
    private let capacity: Int
    public let count: Int

    /// - Parameter keys: digests with the index of their tenant and their expiry. A digest that stands twice belongs to
    ///   the first.
    public init(count: Int, _ keys: some Sequence<(digest: Digest256, tenant: Int32, expires: UInt32)>) {
        precondition(count < 1 << 30)
        self.count = count
        // A quarter is empty, so that a probe ends soon.
        capacity = count * 4 / 3 + 2
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(tag: 0, tenant: -1), count: capacity)
        entries = UnsafeMutableRawPointer.allocate(byteCount: capacity * MemoryLayout<Entry>.stride, alignment: 64)
            .bindMemory(to: Entry.self, capacity: capacity)
        var number: UInt32 = 0
        for key in keys {
            precondition(number < count && key.tenant >= 0)
            var at = home(key.digest)
            while slots[at].tenant >= 0 { at = next(at) }
            slots[at] = Slot(tag: Self.tag(key.digest), tenant: key.tenant)
            let words = key.digest.words
            entries[at] = Entry(digest: (words.1, words.2, words.3), expires: key.expires, position: number)
            number += 1
        }
        precondition(number == count)
    }

    deinit {
        slots.deallocate()
        entries.deallocate()
    }

    @inline(__always)
    private func home(_ digest: Digest256) -> Int {
        Int(truncatingIfNeeded: digest.words.0.multipliedFullWidth(by: UInt64(capacity)).high)
    }

    @inline(__always)
    private func next(_ at: Int) -> Int { at + 1 == capacity ? 0 : at + 1 }

    /// The end of the word whose beginning says where it lies.
    @inline(__always)
    private static func tag(_ digest: Digest256) -> UInt32 { UInt32(truncatingIfNeeded: digest.words.0) }

    /// Asks for the memory in which `find` will look.
    @inline(__always)
    func prefetch(_ digest: Digest256) {
        let at = home(digest)
        Base.prefetch(slots + at, lines: 1)
        Base.prefetch(entries + at, lines: 1)
    }

    /// - Parameter probable: called with the index of the tenant whose key it seems to be, before that is certain.
    public func find(_ digest: Digest256, probable: (Int) -> Void = { _ in }) -> Owner? {
        let tag = Self.tag(digest)
        var at = home(digest)
        while slots[at].tenant >= 0 {
            if slots[at].tag == tag {
                let entry = entries + at
                probable(Int(slots[at].tenant))
                if entry.pointee.isOf(digest) {
                    return Owner(
                        tenant: slots[at].tenant, expires: entry.pointee.expires, position: Int(entry.pointee.position))
                }
            }
            at = next(at)
        }
        return nil
    }
}
