import Configuration

/// A server as the picker sees it when a request comes.
struct Candidate {
    /// Share of the requests, from 1 on.
    var weight: Int
    /// It is taken while there is no other.
    var isBackup = false
    /// What of its share it gets at present, in hundredths.
    var share = 100
    var pull: Int { weight * share }
    /// Requests under way.
    var inFlight = 0
    /// How willingly it is taken; nil where it must not be.
    var ease: Ease?

    /// The easiest servers are picked from, and others only where there are none of them.
    enum Ease: UInt8 {
        case free
        /// It has as many connections as it may have, and none of them is unused.
        case full
        /// Its name has not been found yet.
        case unnamed
        /// The same three of a server that is there for when others are not.
        case backup, fullBackup, unnamedBackup
        /// Connecting has failed, and it is left alone for a while.
        case resting
        /// It is ejected, or left out for the request's tenant.
        case ejected
        /// This very request has just failed there.
        case avoided

        init(
            rests: Bool, isAvoided: Bool, hasRoom: Bool, isNamed: Bool = true, isBackup: Bool = false, isEjected: Bool = false
        ) {
            if isAvoided || isEjected || rests {
                self = isAvoided ? .avoided : isEjected ? .ejected : .resting
            } else if isBackup {
                self = !isNamed ? .unnamedBackup : hasRoom ? .backup : .fullBackup
            } else {
                self = !isNamed ? .unnamed : hasRoom ? .free : .full
            }
        }
    }
}

/// Which of the servers that may is next. One a loop for each upstream; what it knows is carried over a change of servers.
///
/// Another policy is a type like those below, a case of `policy` and a line in `pick`.
struct Picker {
    /// Both are kept: a change of policy and back forgets nothing.
    var policy: Balance
    private var smooth = SmoothWeights()
    private var least = LeastRequests()
    private var keyed = KeyedServers()

    /// For no servers: `adopt` says which there are.
    init(_ policy: Balance) { self.policy = policy }

    /// The place of one of the easiest candidates, or nil where none may be taken. As many candidates as there are servers.
    /// - Parameter key: what the request is balanced by; zero is none.
    mutating func pick(_ candidates: [Candidate], by key: UInt64 = 0) -> Int? {
        var easiest: Candidate.Ease?
        for i in candidates.indices {
            guard let ease = candidates[i].ease else { continue }
            if let current = easiest, current.rawValue <= ease.rawValue { continue }
            easiest = ease
        }
        guard let easiest else { return nil }
        return switch policy {
        case .roundRobin: smooth.pick(candidates, of: easiest)
        case .leastRequests: least.pick(candidates, of: easiest)
        case .hash: key == 0 ? least.pick(candidates, of: easiest) : keyed.pick(candidates, of: easiest, by: key)
        }
    }

    /// Other servers from now on.
    /// - Parameters:
    ///   - places: of each of them the place that it had before, nil for a new one.
    ///   - weights: of each of them.
    ///   - seeds: of each of them a hash of its name, for keys.
    ///   - backups: of each of them whether it is one, and no key's first.
    mutating func adopt(places: [Int?], weights: [Int], seeds: [UInt64] = [], backups: [Bool] = []) {
        smooth.adopt(places: places, weights: weights)
        least.adopt(places: places, weights: weights)
        guard case .hash = policy else { return keyed.adopt(seeds: [], weights: []) }
        keyed.adopt(seeds: seeds, weights: zip(weights, backups).map { $1 ? 0 : $0 })
    }

    /// The server that a key of many servers goes to first, which is worth a look before all others are looked at.
    mutating func likely(by key: UInt64) -> Int? {
        guard key != 0, case .hash = policy else { return nil }
        return keyed.likely(key)
    }
}

/// Smooth weighted round robin: each turn every server gains its weight, and the winner pays the sum.
struct SmoothWeights {
    fileprivate var gained: [Int] = []

    mutating func pick(_ candidates: [Candidate], of ease: Candidate.Ease) -> Int? {
        var found: Int?
        var total = 0
        for i in candidates.indices where candidates[i].ease == ease {
            total += candidates[i].pull
            gained[i] += candidates[i].pull
            if let current = found, gained[i] <= gained[current] { continue }
            found = i
        }
        if let found { gained[found] -= total }
        return found
    }

    /// What was gained is kept, as far as the new weights could have led there: else a server whose weight was a hundred
    /// and is one now would get nothing for a hundred turns.
    mutating func adopt(places: [Int?], weights: [Int]) {
        let staying = places.compactMap { $0 }
        // All together have gained nothing: a new one must not begin behind those who stay, or in front of them.
        let mean = staying.isEmpty ? 0 : staying.reduce(0) { $0 + gained[$1] } / staying.count
        let most = weights.reduce(0, +) * 100
        gained = places.map { place in place.map { max(-most, min(gained[$0] - mean, most)) } ?? 0 }
    }
}

/// Where the fewest requests are under way for its weight. Between equals, turns decide as in `SmoothWeights`; between
/// servers of different weights they count for a part of a request, so that one of small weight has its share, too, where
/// so little is under way that its own would never be a whole one.
struct LeastRequests {
    private var turns = SmoothWeights()

    mutating func pick(_ candidates: [Candidate], of ease: Candidate.Ease) -> Int? {
        var total = 0
        for i in candidates.indices where candidates[i].ease == ease {
            total += candidates[i].pull
            turns.gained[i] += candidates[i].pull
        }
        var found: Int?
        var least = Double.infinity
        for i in candidates.indices where candidates[i].ease == ease {
            let gained = max(-total, min(turns.gained[i], total))
            turns.gained[i] = gained
            // Between a request that is done and one that has not begun, both not quite.
            let part = 0.5 - 0.499 * Double(gained) / Double(total)
            let load = (Double(candidates[i].inFlight) + part) / Double(candidates[i].pull)
            if load < least { (found, least) = (i, load) }
        }
        if let found { turns.gained[found] -= total }
        return found
    }

    mutating func adopt(places: [Int?], weights: [Int]) { turns.adopt(places: places, weights: weights) }
}
