import Configuration
import TestSupport
import Testing

@testable import Proxy

@Suite struct PickerTests {
    /// Servers of these weights, all of them free and idle.
    private func servers(_ weights: [Int]) -> [Candidate] { weights.map { Candidate(weight: $0, ease: .free) } }

    private func fresh(_ policy: Balance, count: Int) -> Picker {
        var picker = Picker(policy)
        picker.adopt(places: Array(repeating: nil, count: count), weights: Array(repeating: 1, count: count))
        return picker
    }

    /// How often each was picked in so many turns.
    private func count(_ turns: Int, _ picker: inout Picker, _ servers: [Candidate]) -> [Int] {
        var counts = Array(repeating: 0, count: servers.count)
        for _ in 0..<turns { counts[picker.pick(servers)!] += 1 }
        return counts
    }

    // MARK: Round robin

    @Test("each gets its share in every round, and the heavy ones not in a row")
    func smooth() {
        var picker = fresh(.roundRobin, count: 3)
        let servers = servers([5, 1, 1])
        let picks = (0..<14).map { _ in picker.pick(servers)! }
        #expect(Array(picks[..<7]) == [0, 0, 1, 0, 2, 0, 0])
        #expect(picks[..<7] == picks[7...].map { $0 }[...])
    }

    @Test("servers that must not be taken are not, and lose no turn by it")
    func down() {
        var picker = fresh(.roundRobin, count: 3)
        var some = servers([1, 1, 1])
        some[1].ease = nil
        #expect(count(100, &picker, some) == [50, 0, 50])
        #expect(count(99, &picker, servers([1, 1, 1])) == [33, 33, 33])
    }

    @Test("nobody is picked where nobody may be", arguments: [Balance.roundRobin, .leastRequests])
    func nobody(policy: Balance) {
        var picker = fresh(policy, count: 2)
        #expect(picker.pick([Candidate(weight: 1), Candidate(weight: 1)]) == nil)
        var none = fresh(policy, count: 0)
        #expect(none.pick([]) == nil)
    }

    @Test("a free one before a full one, that before one that rests, and what has just failed last")
    func ease() {
        #expect(Candidate.Ease(rests: false, isAvoided: false, hasRoom: true) == .free)
        #expect(Candidate.Ease(rests: false, isAvoided: false, hasRoom: false) == .full)
        #expect(Candidate.Ease(rests: true, isAvoided: false, hasRoom: true) == .resting)
        #expect(Candidate.Ease(rests: true, isAvoided: true, hasRoom: true) == .avoided)
        #expect(Candidate.Ease(rests: false, isAvoided: false, hasRoom: true, isBackup: true) == .backup)
        #expect(Candidate.Ease(rests: false, isAvoided: false, hasRoom: false, isBackup: true) == .fullBackup)
        #expect(Candidate.Ease(rests: true, isAvoided: false, hasRoom: true, isBackup: true) == .resting)
        for policy in [Balance.roundRobin, .leastRequests] {
            var picker = fresh(policy, count: 4)
            var some = servers([1, 1, 1, 1])
            for (place, ease) in [Candidate.Ease.avoided, .resting, .full, .free].enumerated() {
                some[place].ease = ease
            }
            for place in [3, 2, 1, 0] {
                #expect(picker.pick(some) == place)
                some[place].ease = nil
            }
            #expect(picker.pick(some) == nil)
        }
    }

    @Test("one look at all agrees with a look for each ease, the easiest first", arguments: 1...20)
    func looks(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        for policy in [Balance.roundRobin, .leastRequests] {
            let eases: [Candidate.Ease?] = [nil, .free, .full, .backup, .resting, .avoided]
            var picker = fresh(policy, count: 5)
            var some = servers((0..<5).map { _ in Int.random(in: 1...9, using: &random) })
            for _ in 0..<200 {
                for i in some.indices {
                    some[i].ease = eases.randomElement(using: &random)!
                    some[i].inFlight = Int.random(in: 0..<10, using: &random)
                }
                let looks = eases.dropFirst().map { ease in
                    some.map { one in
                        var one = one
                        if one.ease != ease { one.ease = nil }
                        return one
                    }
                }
                var other = picker
                let expected = looks.first { $0.contains { $0.ease != nil } }.flatMap { other.pick($0) }
                let picked = picker.pick(some)
                #expect(picked == expected)
            }
        }
    }

    @Test("a backup only where no other is ready for anything")
    func backup() {
        for policy in [Balance.roundRobin, .leastRequests] {
            var picker = fresh(policy, count: 3)
            var some = servers([1, 100, 100])
            (some[1].ease, some[2].ease) = (.backup, .fullBackup)
            for ease in [Candidate.Ease.free, .full, .unnamed] {
                some[0].ease = ease
                #expect(count(20, &picker, some) == [20, 0, 0])
            }
            for ease in [Candidate.Ease.resting, .avoided, nil] {
                some[0].ease = ease
                #expect(count(20, &picker, some) == [0, 20, 0])
            }
        }
    }

    // MARK: Least requests

    @Test("the one with the fewest requests for its weight, and equals in turn")
    func least() {
        var picker = fresh(.leastRequests, count: 3)
        var some = servers([1, 1, 1])
        #expect(count(99, &picker, some) == [33, 33, 33])
        some[0].inFlight = 2
        some[1].inFlight = 1
        #expect(count(10, &picker, some) == [0, 0, 10])
        var weighted = servers([1, 4])
        var heavy = fresh(.leastRequests, count: 2)
        for _ in 0..<50 { weighted[heavy.pick(weighted)!].inFlight += 1 }
        #expect(weighted.map(\.inFlight) == [10, 40])
    }

    @Test("weights hold where nothing is under way, too, and where hardly anything is", arguments: [0, 1, 2, 3])
    func leastLightly(underWay: Int) {
        var picker = fresh(.leastRequests, count: 3)
        var some = servers([100, 100, 10])
        var counts = [0, 0, 0]
        var open: [Int] = []
        for _ in 0..<2100 {
            let place = picker.pick(some)!
            counts[place] += 1
            some[place].inFlight += 1
            open.append(place)
            if open.count > underWay { some[open.removeFirst()].inFlight -= 1 }
        }
        #expect(abs(counts[2] - 100) <= 20, "\(counts)")
        #expect(abs(counts[0] - counts[1]) <= 20, "\(counts)")
    }

    @Test("a share that grows is followed by every policy", arguments: [Balance.roundRobin, .leastRequests])
    func growing(policy: Balance) {
        var picker = fresh(policy, count: 3)
        var some = servers([2, 2, 2])
        var before = 0
        for share in [10, 25, 50, 100] {
            some[1].share = share
            let counts = count(1000, &picker, some)
            #expect(abs(counts[1] - 1000 * share / (200 + share)) <= 4, "\(counts)")
            #expect(counts[1] > before)
            before = counts[1]
        }
    }

    // MARK: Another configuration

    @Test("the rotation goes on where the same servers are adopted")
    func same() {
        var (kept, other) = (fresh(.roundRobin, count: 3), fresh(.roundRobin, count: 3))
        let servers = servers([3, 2, 1])
        for turn in 0..<100 {
            if turn % 7 == 3 { kept.adopt(places: [0, 1, 2], weights: [3, 2, 1]) }
            #expect(kept.pick(servers) == other.pick(servers))
        }
    }

    @Test("a server keeps its position when others come and go around it")
    func moved() {
        var picker = fresh(.roundRobin, count: 3)
        #expect(picker.pick(servers([1, 1, 1])) == 0)
        // The first one is gone, the others have changed places, and a new one is the last.
        picker.adopt(places: [2, 1, nil], weights: [1, 1, 1])
        #expect(Set([picker.pick(servers([1, 1, 1])), picker.pick(servers([1, 1, 1]))]) == [0, 1])
    }

    @Test("a change of weights is followed at once: no server gets nothing, or everything, for long")
    func weights() {
        var picker = fresh(.roundRobin, count: 2)
        for turn in 0..<101 {
            _ = picker.pick(servers([100, 1]))
            var changed = picker
            changed.adopt(places: [0, 1], weights: [1, 1])
            let counts = count(20, &changed, servers([1, 1]))
            #expect(abs(counts[0] - counts[1]) <= 4, "changed after \(turn) turns: \(counts)")
        }
    }

    @Test("over any changes each server gets its share, to a few requests", arguments: 1...20)
    func changes(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var weights = [1, 1]
        var picker = fresh(.roundRobin, count: 2)
        for _ in 0..<50 {
            var places: [Int?] = weights.indices.shuffled(using: &random)
            if places.count > 1, Bool.random(using: &random) { places.removeLast() }
            if Bool.random(using: &random) { places.insert(nil, at: Int.random(in: 0...places.count, using: &random)) }
            let before = weights
            weights = places.map { place in
                guard let place, Int.random(in: 0..<4, using: &random) > 0 else {
                    return Int.random(in: 1...20, using: &random)
                }
                return before[place]
            }
            picker.adopt(places: places, weights: weights)
            let total = weights.reduce(0, +)
            // What stands to somebody's credit is bounded by a round: two rounds more or less than the share.
            var counts = count(5 * total, &picker, servers(weights))
            for i in weights.indices {
                #expect(abs(counts[i] - 5 * weights[i]) <= 2 * total, "\(weights) gave \(counts)")
            }
            // And once it is used up, the share exactly.
            counts = count(total, &picker, servers(weights))
            for i in weights.indices { #expect(abs(counts[i] - weights[i]) <= 1, "\(weights) gave \(counts)") }
            _ = count(Int.random(in: 0..<total, using: &random), &picker, servers(weights))
        }
    }

    @Test("a change of policy and back forgets nothing")
    func policies() {
        var picker = fresh(.roundRobin, count: 2)
        #expect(picker.pick(servers([1, 1])) == 0)
        picker.policy = .leastRequests
        _ = picker.pick(servers([1, 1]))
        picker.policy = .roundRobin
        #expect(picker.pick(servers([1, 1])) == 1)
    }
}
