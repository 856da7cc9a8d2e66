import Configuration
import Crypto

/// All API keys of one configuration by their digests: one digest and one probe, however many there are. 40 bytes a key
/// and 4 for each of at most four slots; a slot holds some bits of the digest too, so that another key's entry is almost
/// never looked at. Immutable.
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

    private struct Entry {
        var digest: Digest256
        var tenant: Int32
        var expires: UInt32
    }

    private let entries: UnsafeMutablePointer<Entry>
    /// 0 is empty; otherwise a tag from the digest above the entry's number plus one.
    private let slots: UnsafeMutablePointer<UInt32>
    private let mask: Int
    private let numberBits: UInt32
    public let count: Int

    /// - Parameter keys: digests with the index of their tenant and their expiry. A digest that stands twice belongs to
    ///   the first.
    public init(count: Int, _ keys: some Sequence<(digest: Digest256, tenant: Int32, expires: UInt32)>) {
        precondition(count < 1 << 30)
        self.count = count
        var capacity = 2
        while capacity < count * 2 { capacity *= 2 }
        mask = capacity - 1
        numberBits = UInt32(32 - UInt32(truncatingIfNeeded: count + 1).leadingZeroBitCount)
        entries = .allocate(capacity: max(count, 1))
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: 0, count: capacity)
        var number = 0
        for key in keys {
            precondition(number < count)
            entries[number] = Entry(digest: key.digest, tenant: key.tenant, expires: key.expires)
            number += 1
            var at = Int(truncatingIfNeeded: key.digest.words.0) & mask
            while slots[at] != 0 { at = (at + 1) & mask }
            slots[at] = tag(key.digest) | UInt32(number)
        }
        precondition(number == count)
    }

    deinit {
        entries.deallocate()
        slots.deallocate()
    }

    @inline(__always)
    private func tag(_ digest: Digest256) -> UInt32 {
        UInt32(truncatingIfNeeded: digest.words.0 >> 32) & ~((1 << numberBits) - 1)
    }

    public func find(_ digest: Digest256) -> Owner? {
        let tag = tag(digest)
        let numbers: UInt32 = (1 << numberBits) - 1
        var at = Int(truncatingIfNeeded: digest.words.0) & mask
        while true {
            let slot = slots[at]
            if slot == 0 { return nil }
            if slot & ~numbers == tag {
                let position = Int(slot & numbers) - 1
                let entry = entries + position
                if entry.pointee.digest == digest {
                    return Owner(tenant: entry.pointee.tenant, expires: entry.pointee.expires, position: position)
                }
            }
            at = (at + 1) & mask
        }
    }
}
