import Crypto

/// Tokens that were verified, by the SHA-256 of their text, in bounded memory: sets of four, in which a new one takes an
/// empty place or that of the one which expires first.
final class TokenCache {
    private struct Slot {
        var digest: Digest256
        var token: Unmanaged<VerifiedToken>?
        /// Of the issuer's keys.
        var version: UInt32
    }

    static let ways = 4
    static let sets = 8192
    /// Taken when the first token comes.
    private var slots: UnsafeMutablePointer<Slot>?

    deinit {
        removeAll()
        slots?.deallocate()
    }

    private func set(of digest: Digest256) -> Int { Int(truncatingIfNeeded: digest.words.1) & (Self.sets - 1) }

    func find(_ digest: Digest256) -> (token: VerifiedToken, version: UInt32)? {
        guard let slots else { return nil }
        let first = slots + set(of: digest) * Self.ways
        for way in 0..<Self.ways {
            let slot = first + way
            if slot.pointee.digest == digest, let token = slot.pointee.token {
                return (token.takeUnretainedValue(), slot.pointee.version)
            }
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
            let expires = held._withUnsafeGuaranteedRef { $0.expires }
            if expires < worst._withUnsafeGuaranteedRef({ $0.expires }) { chosen = slot }
        }
        chosen.pointee.token?.release()
        chosen.pointee = Slot(digest: digest, token: Unmanaged.passRetained(token), version: version)
    }

    func removeAll() {
        guard let slots else { return }
        for at in 0..<Self.sets * Self.ways {
            slots[at].token?.release()
            slots[at].token = nil
        }
    }

    private func makeSlots() -> UnsafeMutablePointer<Slot> {
        let made = UnsafeMutablePointer<Slot>.allocate(capacity: Self.sets * Self.ways)
        made.initialize(repeating: Slot(digest: Digest256(), token: nil, version: 0), count: Self.sets * Self.ways)
        slots = made
        return made
    }
}
