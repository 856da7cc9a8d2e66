import TestSupport
import Testing

@testable import Proxy

/// Lines of an upstream's loops, with tenants of which each loop has an object of its own.
private final class Scene {
    let parts = TenantParts()
    var lines: [FairLine<String>]
    private var owners: [String: AnyObject] = [:]
    private var numbers: UInt64 = 0

    final class Owner {}

    init(loops: Int = 1) { lines = (0..<loops).map { [parts] _ in FairLine(parts) } }

    func owner(_ tenant: String, _ loop: Int) -> ObjectIdentifier {
        let key = "\(tenant) \(loop)"
        let object = owners[key] ?? Owner()
        owners[key] = object
        return ObjectIdentifier(object)
    }

    @discardableResult
    func join(_ tenant: String, _ weight: Int64 = 1, share: Int = 100, on loop: Int = 0) -> FairLine<String>.Ticket {
        _ = lines[loop].part(of: owner(tenant, loop)) {
            numbers += 1
            return (parts.part(of: tenant), WaitingLine(id: numbers))
        }
        return lines[loop].join(tenant, of: owner(tenant, loop), weight: weight, share: share)
    }
}

@Suite struct FairLineTests {
    private let millisecond: UInt64 = 1_000_000

    /// So many places on each loop, and tenants that always wait on all of them: what each is served.
    private func served(
        _ tenants: [(name: String, weight: Int64, time: UInt64, loops: [Int])], places: [Int], turns: Int
    ) -> [String: Double] {
        let scene = Scene(loops: places.count)
        var now: UInt64 = 0
        var holds: [(ends: UInt64, tenant: Int, loop: Int, turn: FairTurn)] = []
        var counts: [String: Double] = [:]
        var free = places
        for (tenant, weight, _, loops) in tenants {
            for loop in loops { for _ in 0..<40 { scene.join(tenant, weight, on: loop) } }
        }
        for _ in 0..<turns {
            for loop in places.indices {
                while free[loop] > 0, let (name, _, turn) = scene.lines[loop].next(now: now) {
                    let tenant = tenants.firstIndex { $0.name == name }!
                    free[loop] -= 1
                    holds.append((now + tenants[tenant].time, tenant, loop, turn))
                    scene.join(name, tenants[tenant].weight, on: loop)
                }
            }
            let first = holds.indices.min { holds[$0].ends < holds[$1].ends }!
            let (ends, tenant, loop, turn) = holds.remove(at: first)
            now = ends
            scene.lines[loop].ended(turn, of: scene.owner(tenants[tenant].name, loop), now: now)
            free[loop] += 1
            counts[tenants[tenant].name, default: 0] += 1
        }
        return counts
    }

    @Test("tenants are served by their weights, on one loop and on several")
    func weights() {
        for places in [[16], [8, 8], [5, 5, 6], [1]] {
            let all = Array(places.indices)
            let counts = served(
                [("a", 1, 20 * millisecond, all), ("b", 2, 20 * millisecond, all), ("c", 4, 20 * millisecond, all)],
                places: places, turns: 7000)
            #expect(
                abs(counts["a"]! - 1000) < 20 && abs(counts["b"]! - 2000) < 40 && abs(counts["c"]! - 4000) < 40,
                "\(counts)")
        }
    }

    @Test("a tenant whose clients are all on one loop has its part of all loops")
    func oneLoop() {
        let counts = served(
            [
                ("a", 1, 20 * millisecond, [0]), ("b", 1, 20 * millisecond, [0, 1]),
                ("c", 2, 20 * millisecond, [0, 1]),
            ],
            places: [8, 8], turns: 8000)
        #expect(
            abs(counts["a"]! - 2000) < 60 && abs(counts["b"]! - 2000) < 60 && abs(counts["c"]! - 4000) < 60, "\(counts)"
        )
    }

    @Test("a turn costs its time: who holds connections for longer has fewer turns")
    func time() {
        let counts = served(
            [("quick", 1, 10 * millisecond, [0]), ("slow", 1, 100 * millisecond, [0])], places: [16], turns: 20_000)
        #expect((9...11).contains(counts["quick"]! / counts["slow"]!), "\(counts)")
    }

    @Test("who comes seldom is next, however many of another tenant wait, and whatever that one has paid before")
    func quiet() {
        let scene = Scene()
        var now: UInt64 = 0
        for _ in 0..<500 { scene.join("flood") }
        for round in 0..<100 {
            now += 10 * millisecond
            scene.join("quiet")
            let (name, _, turn) = scene.lines[0].next(now: now)!
            #expect(name == "quiet" || round == 0)
            scene.lines[0].ended(turn, of: scene.owner(name, 0), now: now + 10 * millisecond)
            for _ in 0..<3 {
                let (name, _, turn) = scene.lines[0].next(now: now)!
                scene.lines[0].ended(turn, of: scene.owner(name, 0), now: now + 10 * millisecond)
            }
        }
    }

    @Test("who has its share of the connections is passed over while others want them, and only then")
    func shares() {
        let scene = Scene()
        let flood = scene.parts.part(of: "flood")
        var turns = (0..<8).map { _ in scene.parts.hold(flood, now: 0) }
        for _ in 0..<4 {
            scene.join("flood", 1000, share: 50)
            scene.join("light", 1)
            scene.join("light", 1)
        }
        // Of each connection that is given back: half of eight is four.
        var served: [String] = []
        for _ in 0..<8 {
            scene.lines[0].ended(turns.removeFirst(), of: scene.owner("flood", 0), now: 1000)
            let (name, _, turn) = scene.lines[0].next(now: 1000)!
            served.append(name)
            turns.append(turn)
        }
        #expect(served[..<4].allSatisfy { $0 == "light" })
        #expect(served[4...].allSatisfy { $0 == "flood" })
        // Nobody else wants them.
        for _ in 0..<4 { _ = scene.lines[0].next(now: 1000) }
        scene.join("flood", share: 1)
        #expect(scene.lines[0].next(now: 1000)?.element == "flood")
    }

    @Test("within a tenant it is first come, first served, and who has left is not called")
    func order() {
        let scene = Scene()
        let tickets = (0..<4).map { _ in scene.join("a") }
        #expect(scene.lines[0].leave(tickets[1], of: scene.owner("a", 0)) == "a")
        #expect(scene.lines[0].leave(tickets[1], of: scene.owner("a", 0)) == nil)
        #expect(scene.lines[0].count == 3)
        #expect([0, 2, 3].map { scene.lines[0].next(now: 0)!.ticket == tickets[$0] } == [true, true, true])
        #expect(scene.lines[0].isEmpty && scene.lines[0].next(now: 0) == nil)
    }

    @Test("of a full line a tenant may have its part, and who is furthest above its own loses one")
    func pushing() {
        let scene = Scene()
        let size = 10
        for _ in 0..<8 { scene.join("flood") }
        for _ in 0..<2 { scene.join("other") }
        func may(_ tenant: String, _ weight: Int64 = 1) -> Bool {
            scene.parts.isEntitled(scene.parts.part(of: tenant), weight: weight, size: size)
        }
        #expect(!may("flood") && may("other") && may("new") && may("heavy", 5))
        scene.join("new")
        #expect(scene.lines[0].shorten(to: size)?.element == "flood")
        for _ in 0..<2 {
            scene.join("other")
            #expect(scene.lines[0].shorten(to: size)?.element == "flood")
        }
        // Three tenants: three and a third each.
        #expect(!may("other") && !may("flood") && may("new"))
        #expect(scene.lines[0].count == size)
    }

    @Test("one place is everybody's, as long as there are more of them than tenants")
    func little() {
        let scene = Scene()
        for _ in 0..<4 { scene.join("flood", 1000) }
        #expect(scene.parts.isEntitled(scene.parts.part(of: "light"), weight: 1, size: 4))
        scene.join("light")
        for name in ["b", "c", "d"] { scene.join(name) }
        #expect(!scene.parts.isEntitled(scene.parts.part(of: "e"), weight: 1, size: 4))
    }

    @Test("whatever comes and goes, on three loops, nothing is left over", arguments: 1...10)
    func random(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let scene = Scene(loops: 3)
        var waiting: [[(tenant: String, ticket: FairLine<String>.Ticket)]] = [[], [], []]
        var turns: [(Int, String, FairTurn)] = []
        var now: UInt64 = 1
        for _ in 0..<5_000 {
            now += random.next() % 5_000_000
            let loop = Int(random.next() % 3)
            switch random.next() % 6 {
            case 0, 1:
                let tenant = "t\(random.next() % 20)"
                waiting[loop].append((tenant, scene.join(tenant, 1 + Int64(random.next() % 4), on: loop)))
            case 2 where !waiting[loop].isEmpty:
                let gone = waiting[loop].remove(at: Int(random.next() % UInt64(waiting[loop].count)))
                #expect(scene.lines[loop].leave(gone.ticket, of: scene.owner(gone.tenant, loop)) == gone.tenant)
            case 3 where !turns.isEmpty:
                let (loop, tenant, turn) = turns.remove(at: Int(random.next() % UInt64(turns.count)))
                scene.lines[loop].ended(turn, of: scene.owner(tenant, loop), now: now)
            case 4:
                guard let (name, ticket) = scene.lines[loop].shorten(to: 10) else { break }
                let at = waiting[loop].firstIndex { $0.ticket == ticket }
                #expect(at.map { waiting[loop].remove(at: $0).tenant } == name)
            default:
                guard let (name, ticket, turn) = scene.lines[loop].next(now: now) else { break }
                let at = waiting[loop].firstIndex { $0.ticket == ticket }
                #expect(at.map { waiting[loop].remove(at: $0).tenant } == name)
                turns.append((loop, name, turn))
            }
            #expect(scene.lines[loop].count == waiting[loop].count)
        }
        for loop in 0..<3 { while scene.lines[loop].next(now: now) != nil {} }
        #expect((0..<20).allSatisfy { scene.parts.part(of: "t\($0)").waiting == 0 })
        #expect(scene.parts.isEntitled(scene.parts.part(of: "t0"), weight: 1, size: 1))
    }

    @Test("parts that nobody uses any more are forgotten, and others are not")
    func forgotten() {
        let parts = TenantParts()
        weak let unused = parts.part(of: "unused")
        let used = parts.part(of: "used")
        for number in 0..<4200 { _ = parts.part(of: "\(number)") }
        #expect(unused == nil)
        #expect(parts.part(of: "used") === used)
    }
}
