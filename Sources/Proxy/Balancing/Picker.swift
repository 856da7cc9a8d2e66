import Configuration

/// A server as the picker sees it when a request comes.
struct Candidate {
    /// Share of the requests, from 1 on.
    var weight: Int
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
        /// Connecting has failed, and it is left alone for a while.
        case resting
        /// This very request has just failed there.
        case avoided

        init(rests: Bool, isAvoided: Bool, hasRoom: Bool, isNamed: Bool = true) {
            self = isAvoided ? .avoided : rests ? .resting : !isNamed ? .unnamed : hasRoom ? .free : .full
        }
    }
}

/// Which of the servers that may is next. One a loop for each upstream; what it knows is carried over a change of servers.
///
/// Another policy is a type like the two below, a case of `policy` and a line in `pick`; one by a hash of the request takes
/// the hash as an argument there.
struct Picker {
    /// Both are kept: a change of policy and back forgets nothing.
    var policy: Balance
    private var smooth = SmoothWeights()
    private var least = LeastRequests()

    /// For no servers: `adopt` says which there are.
    init(_ policy: Balance) { self.policy = policy }

    /// The place of one of the easiest candidates, or nil where none may be taken. As many candidates as there are servers.
    mutating func pick(_ candidates: [Candidate]) -> Int? {
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
        }
    }

    /// Other servers from now on.
    /// - Parameters:
    ///   - places: of each of them the place that it had before, nil for a new one.
    ///   - weights: of each of them.
    mutating func adopt(places: [Int?], weights: [Int]) { smooth.adopt(places: places, weights: weights) }
}

/// Smooth weighted round robin: each turn every server gains its weight, and the winner pays the sum.
struct SmoothWeights {
    private var gained: [Int] = []

    mutating func pick(_ candidates: [Candidate], of ease: Candidate.Ease) -> Int? {
        var found: Int?
        var total = 0
        for i in candidates.indices where candidates[i].ease == ease {
            total += candidates[i].weight
            gained[i] += candidates[i].weight
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
        let most = weights.reduce(0, +)
        gained = places.map { place in place.map { max(-most, min(gained[$0] - mean, most)) } ?? 0 }
    }
}

/// Where the fewest requests are under way for its weight; equals take turns.
struct LeastRequests {
    private var turn = 0

    mutating func pick(_ candidates: [Candidate], of ease: Candidate.Ease) -> Int? {
        var found: Int?
        for offset in candidates.indices {
            let i = (offset + turn) % candidates.count
            guard candidates[i].ease == ease else { continue }
            guard let current = found else {
                found = i
                continue
            }
            // (in flight + this one) / weight, without a division
            let (one, other) = (candidates[i], candidates[current])
            if (one.inFlight + 1) * other.weight < (other.inFlight + 1) * one.weight { found = i }
        }
        turn = (turn + 1) % max(candidates.count, 1)
        return found
    }
}
