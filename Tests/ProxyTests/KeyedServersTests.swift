import Base
import Configuration
import TestSupport
import Testing

@testable import Proxy

@Suite struct KeyedServersTests {
    /// A picker over servers of these names.
    private struct Servers {
        var picker = Picker(.hash(.path))
        var names: [String]
        var candidates: [Candidate]

        init(_ names: [String], weights: [Int]? = nil) {
            let weights = weights ?? Array(repeating: 1, count: names.count)
            self.names = names
            candidates = weights.map { Candidate(weight: $0, ease: .free) }
            picker.adopt(
                places: Array(repeating: nil, count: names.count), weights: weights, seeds: names.map(StableHash.of),
                backups: names.map { _ in false })
        }

        mutating func name(_ key: UInt64) -> String { names[picker.pick(candidates, by: key)!] }

        /// Where each of the keys goes.
        mutating func names(_ keys: [UInt64]) -> [String] { keys.map { name($0) } }
    }

    private let keys = (0..<20_000).map { StableHash.of("key-\($0)") }
    private func names(_ count: Int) -> [String] { (0..<count).map { "10.0.\($0 / 250).\($0 % 250):80" } }

    @Test("a server that is gone moves its own keys and no others, about one of N", arguments: [2, 3, 10, 32, 33, 34, 50])
    func gone(count: Int) {
        let names = names(count)
        var all = Servers(names)
        let before = all.names(keys)
        var fewer = Servers(names.filter { $0 != names[count / 2] })
        let after = fewer.names(keys)
        var moved = 0
        for (was, now) in zip(before, after) where was != now {
            #expect(was == names[count / 2])
            moved += 1
        }
        #expect(moved == before.count { $0 == names[count / 2] })
        let share = Double(keys.count) / Double(count)
        #expect(Double(moved) > 0.8 * share && Double(moved) < 1.2 * share, "\(moved) of \(share)")
    }

    @Test("what is out for a while moves the same keys as what is gone, and has them again after that", arguments: [5, 40])
    func out(count: Int) {
        let names = names(count)
        var all = Servers(names)
        let before = all.names(keys)
        all.candidates[1].ease = nil
        let meanwhile = all.names(keys)
        for (was, now) in zip(before, meanwhile) { #expect(was == now || was == names[1]) }
        all.candidates[1].ease = .free
        #expect(all.names(keys) == before)
    }

    @Test("those of one server that is out spread over all others")
    func spread() {
        let names = names(6)
        var all = Servers(names)
        let before = all.names(keys)
        all.candidates[0].ease = nil
        let after = all.names(keys)
        let moved = zip(before, after).filter { $0 == names[0] && $1 != names[0] }.map(\.1)
        for name in names.dropFirst() {
            let count = moved.count { $0 == name }
            #expect(abs(Double(count) / Double(moved.count) - 0.2) < 0.03, "\(name): \(count) of \(moved.count)")
        }
    }

    @Test("the order in the file makes no difference", arguments: [7, 60])
    func order(count: Int) {
        var random = SeededGenerator(state: 7)
        let names = names(count)
        var (one, other) = (Servers(names), Servers(names.shuffled(using: &random)))
        #expect(one.names(keys) == other.names(keys))
    }

    @Test("keys are shared out by weight, and a greater weight only takes some", arguments: [[1, 2, 5], [3, 3, 3], [1, 100]])
    func weights(weights: [Int]) {
        let names = names(weights.count)
        var servers = Servers(names, weights: weights)
        let before = servers.names(keys)
        let total = weights.reduce(0, +)
        for (name, weight) in zip(names, weights) {
            let share = Double(before.count { $0 == name }) / Double(keys.count)
            #expect(abs(share - Double(weight) / Double(total)) < 0.015, "\(name) \(share)")
        }
        servers.candidates[0].weight += 2
        for (was, now) in zip(before, servers.names(keys)) { #expect(was == now || now == names[0]) }
    }

    @Test("of many servers the remembered winner is the one that all draw for", arguments: [33, 200])
    func likely(count: Int) {
        var servers = Servers(names(count))
        for key in keys.prefix(2000) + keys.prefix(2000) {
            #expect(servers.picker.likely(by: key) == servers.picker.pick(servers.candidates, by: key))
        }
        var few = Servers(names(32))
        #expect(few.picker.likely(by: keys[0]) == nil)
        #expect(servers.picker.likely(by: 0) == nil)
    }

    @Test("a backup is no key's first")
    func backup() {
        let names = names(40)
        var picker = Picker(.hash(.path))
        picker.adopt(
            places: names.map { _ in nil }, weights: names.map { _ in 1 }, seeds: names.map(StableHash.of),
            backups: names.indices.map { $0 % 2 == 0 })
        for key in keys.prefix(1000) { #expect(picker.likely(by: key)! % 2 == 1) }
    }

    @Test("a server that is back gets more and more of its own keys, and no others")
    func growing() {
        var servers = Servers(names(4))
        let all = servers.names(keys)
        var had: Set<UInt64> = []
        for share in [10, 40, 70, 100] {
            servers.candidates[2].share = share
            let now = Set(keys.filter { servers.name($0) == servers.names[2] })
            #expect(now.isSuperset(of: had) && now.count > had.count)
            for (key, was) in zip(keys, all) where was != servers.names[2] { #expect(!now.contains(key)) }
            had = now
        }
    }

    @Test("the same in every version: these are where they always were")
    func stable() {
        var servers = Servers(["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])
        let found = ["alice", "bob", "carol", "dave", "erin", "frank"].map { servers.name(StableHash.of($0) | 1) }
        #expect(found.map { $0.dropFirst(7).prefix(1) }.joined() == "222331")
    }

    // MARK: Load

    @Test("a hot key fills no server beyond 1.25 times its share, and goes on in the key's own order", arguments: [[1, 1, 1], [4, 2, 2]])
    func hot(weights: [Int]) {
        var servers = Servers(names(3), weights: weights)
        let order = (0..<3).reduce(into: [Int]()) { order, _ in
            var left = servers
            for place in order { left.candidates[place].ease = nil }
            order.append(left.picker.pick(left.candidates, by: keys[0])!)
        }
        var loads: [[Int]] = []
        for count in 1...600 {
            servers.candidates[servers.picker.pick(servers.candidates, by: keys[0])!].inFlight += 1
            let loads = servers.candidates.map(\.inFlight)
            for (load, weight) in zip(loads, weights) {
                let share = Double(count * weight) / Double(weights.reduce(0, +))
                #expect(Double(load) <= max(Double(KeyedServers.always), 1.25 * share + 1), "\(loads) of \(count)")
            }
            if count <= KeyedServers.always { #expect(loads[order[0]] == count, "few stay together") }
        }
        loads.append(servers.candidates.map(\.inFlight))
        #expect(loads[0][order[0]] >= loads[0][order[2]])
    }

    @Test("a server that is full passes its keys on, and only those")
    func full() {
        var servers = Servers(names(4))
        let before = servers.names(keys)
        servers.candidates[2].ease = .full
        for (was, now) in zip(before, servers.names(keys)) { #expect(was == now || was == servers.names[2]) }
    }

    @Test("who has no key goes where the fewest requests are")
    func keyless() {
        var servers = Servers(names(3))
        servers.candidates[0].inFlight = 1
        let picks = (0..<10).map { _ in servers.picker.pick(servers.candidates)! }
        #expect(Set(picks) == [1, 2] && picks.count { $0 == 1 } == 5)
    }
}
