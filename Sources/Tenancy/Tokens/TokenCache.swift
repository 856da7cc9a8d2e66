import Base
import Crypto

/// Tokens that were verified, by the SHA-256 of their text, in bounded memory: sets of eight, in which a new one takes an
/// empty place or that of the one which expires first.
final class TokenCache {
    /// 64 bytes: what is found is found in one line of the processor's cache.
    private struct Slot {
        var digest = Digest256()
        /// nil is an empty place.
        var token: VerifiedToken?
        /// Of the issuer's keys.
        var version: UInt32 = 0
    }

    /// So many that 10,000 tokens fall out of a set next to never: a token that does costs a signature each time it comes.
    static let ways = 8
    static let sets = 8192
    /// Taken when the first token comes.
    private var slots: UnsafeMutablePointer<Slot>?
    /// Whose the last token was whose digest ends like this: a guess, and few enough to stay in the processor's caches,
    /// which slots are not.
    private let guesses: UnsafeMutablePointer<Int32>
    private static let guessCount = 16_384

    init() {
        guesses = .allocate(capacity: Self.guessCount)
        guesses.initialize(repeating: -1, count: Self.guessCount)
    }

    deinit {
        guesses.deallocate()
        guard let slots else { return }
        slots.deinitialize(count: Self.sets * Self.ways)
        UnsafeMutableRawPointer(slots).deallocate()
    }

    private func set(of digest: Digest256) -> Int { Int(truncatingIfNeeded: digest.words.1) & (Self.sets - 1) }

    private func guess(of digest: Digest256) -> Int { Int(truncatingIfNeeded: digest.words.2) & (Self.guessCount - 1) }

    /// - Parameter probable: called with the index of the tenant whose token it may be, before that is certain.
    func find(
        _ digest: Digest256, probable: (Int) -> Void = { _ in }
    ) -> (token: VerifiedToken, version: UInt32)? {
        guard let slots else { return nil }
        let first = slots + set(of: digest) * Self.ways
        prefetch(first, lines: 1)
        let tenant = guesses[guess(of: digest)]
        if tenant >= 0 { probable(Int(tenant)) }
        for way in 0..<Self.ways {
            let slot = first + way
            if slot.pointee.digest == digest, let token = slot.pointee.token { return (token, slot.pointee.version) }
        }
        return nil
    }

    func insert(_ digest: Digest256, _ token: VerifiedToken, version: UInt32) {
        let slots = slots ?? makeSlots()
        let first = slots + set(of: digest) * Self.ways
        var chosen = first
        for way in 0..<Self.ways {
            let slot = first + way
            guard let held = slot.pointee.token, slot.pointee.digest != digest else {
                chosen = slot
                break
            }
            guard let worst = chosen.pointee.token else { break }
            if held.expires < worst.expires { chosen = slot }
        }
        chosen.pointee = Slot(digest: digest, token: token, version: version)
        guesses[guess(of: digest)] = Int32(token.tenant)
    }

    func removeAll() {
        guard let slots else { return }
        for at in 0..<Self.sets * Self.ways { slots[at].token = nil }
        guesses.update(repeating: -1, count: Self.guessCount)
    }

    private func makeSlots() -> UnsafeMutablePointer<Slot> {
        let count = Self.sets * Self.ways
        let room = UnsafeMutableRawPointer.allocate(byteCount: count * MemoryLayout<Slot>.stride, alignment: 64)
        let made = room.bindMemory(to: Slot.self, capacity: count)
        made.initialize(repeating: Slot(), count: count)
        slots = made
        return made
    }
}
