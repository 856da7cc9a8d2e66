import Base
import Glibc

/// `balance hash`: every key has an order of servers of its own, and goes to the first of them that may be taken. Weighted
/// rendezvous hashing: each server draws a number for the key, the greater its weight the better, and the best comes first.
/// The numbers come of the key's slot and the server's name alone, so that every loop, every process and every order in the
/// file has the same; who is gone or comes moves its own keys and no others.
///
/// A key is looked at by its slot, one of 65,536. Up to `direct` servers draw on each request, some nanoseconds each; of
/// more the winner of a slot is remembered once it was drawn, and all draw again only where it can't be taken. That costs no
/// more than the other policies, which look at every server on each request.
///
/// A hot key must not sink its server: one that has more than 1.25 times its share of the requests under way passes on to
/// the next in the key's order, as the paper of bounded loads has it (arXiv 1608.01350). Below `always` it does not: a
/// browser's few requests at once would else leave the server that has their session.
struct KeyedServers {
    /// Servers of which all draw on each request.
    static let direct = 32
    /// So many requests a server takes from one loop before it is compared with the others.
    static let always = 8

    /// Of each server, by its name.
    private var seeds: [UInt64] = []
    private var weights: [Int] = []
    private var isEven = true
    /// By slot: one more than the place of the winner, zero before it was drawn. Empty while there are few.
    private var winners: [UInt16] = []

    /// Other servers from now on.
    /// - Parameters:
    ///   - seeds: hashes of their names.
    ///   - weights: zero for those that are no key's first.
    mutating func adopt(seeds: [UInt64], weights: [Int]) {
        (self.seeds, self.weights) = (seeds, weights)
        isEven = Set(weights.filter { $0 > 0 }).count < 2
        let isTabled = seeds.count > Self.direct && seeds.count < Int(UInt16.max)
        winners = isTabled ? Array(repeating: 0, count: 1 << 16) : []
    }

    /// The first server in the key's order, where there are so many that it is worth asking for it alone.
    mutating func likely(_ key: UInt64) -> Int? {
        if winners.isEmpty { return nil }
        let slot = Self.slot(key)
        if winners[Int(slot)] > 0 { return Int(winners[Int(slot)]) - 1 }
        var best = Best()
        for i in seeds.indices where weights[i] > 0 {
            best.take(i, draw(i, slot), weight: weights[i], isEven: isEven)
        }
        winners[Int(slot)] = UInt16(best.place.map { $0 + 1 } ?? 0)
        return best.place
    }

    /// The place of the first candidate of that ease in the key's order that has no more than its share of requests.
    func pick(_ candidates: [Candidate], of ease: Candidate.Ease, by key: UInt64) -> Int? {
        let slot = Self.slot(key)
        var (total, weight, first, isEven) = (1, 0, 0, true)
        for candidate in candidates where candidate.ease == ease {
            total += candidate.inFlight
            weight += candidate.pull
            if first == 0 { first = candidate.pull } else if first != candidate.pull { isEven = false }
        }
        var best = Best()
        for i in candidates.indices where candidates[i].ease == ease {
            let one = candidates[i]
            // inFlight + 1 <= 1.25 * total * share, rounded up
            let bound = (5 * total * one.pull + 4 * weight - 1) / (4 * weight)
            if one.inFlight >= max(bound, Self.always) { continue }
            best.take(i, draw(i, slot), weight: one.pull, isEven: isEven)
        }
        return best.place
    }

    private static func slot(_ key: UInt64) -> UInt64 { key >> 48 }

    private func draw(_ place: Int, _ slot: UInt64) -> UInt64 { StableHash.mix(seeds[place] &+ slot &* StableHash.odd) }

    /// The best that was drawn.
    private struct Best {
        private(set) var place: Int?
        private var drawn: UInt64 = 0
        private var score = -Double.infinity

        /// - Parameter isEven: all weights are the same, and need not be looked at.
        mutating func take(_ place: Int, _ drawn: UInt64, weight: Int, isEven: Bool) {
            if isEven {
                if self.place == nil || drawn > self.drawn { (self.place, self.drawn) = (place, drawn) }
                return
            }
            // Of exponentially distributed numbers the least is whose as often as its rate says.
            let score = log((Double(drawn >> 11) + 0.5) * 0x1p-53) / Double(weight)
            if score > self.score { (self.place, self.score) = (place, score) }
        }
    }
}
