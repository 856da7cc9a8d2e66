import Crypto

/// Decisions by the SHA-256 of what they were asked with, in bounded memory. Those that were not used since the hand last came
/// by leave first (the "clock" that stands for least recently used). Who finds one allocates nothing.
struct DecisionCache {
    private struct Slot {
        var digest: Digest256
        var decision: Decision
        var isUsed: Bool
    }

    /// In no order, with holes.
    private var slots: [Slot?] = []
    private var holes: [Int] = []
    private var places: [Digest256: Int] = [:]
    private var hand = 0
    /// Bytes of all of them.
    private(set) var size = 0
    private let sizeMax: Int

    init(sizeMax: Int) { self.sizeMax = sizeMax }

    var count: Int { places.count }

    /// - Parameter now: monotonic nanoseconds.
    mutating func find(_ digest: Digest256, now: UInt64) -> Decision? {
        guard let place = places[digest], let decision = slots[place]?.decision else { return nil }
        if decision.until <= now {
            remove(place)
            return nil
        }
        slots[place]?.isUsed = true
        return decision
    }

    mutating func insert(_ decision: Decision, for digest: Digest256, now: UInt64) {
        if let place = places[digest] { remove(place) }
        // One must not cost all others.
        guard decision.size <= sizeMax / 4, decision.until > now else { return }
        while size + decision.size > sizeMax { makeRoom(now) }
        let slot = Slot(digest: digest, decision: decision, isUsed: false)
        if let hole = holes.popLast() {
            slots[hole] = slot
            places[digest] = hole
        } else {
            places[digest] = slots.count
            slots.append(slot)
        }
        size += decision.size
    }

    /// One leaves: in two rounds of the hand at the latest.
    private mutating func makeRoom(_ now: UInt64) {
        while !places.isEmpty {
            let place = hand < slots.count ? hand : 0
            hand = place + 1
            guard let slot = slots[place] else { continue }
            if !slot.isUsed || slot.decision.until <= now { return remove(place) }
            slots[place]?.isUsed = false
        }
    }

    private mutating func remove(_ place: Int) {
        guard let slot = slots[place] else { return }
        size -= slot.decision.size
        places[slot.digest] = nil
        slots[place] = nil
        holes.append(place)
    }
}
