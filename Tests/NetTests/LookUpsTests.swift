import Base
import Glibc
import Synchronization
import Testing

@testable import Net

private let millisecond: UInt64 = 1_000_000
private let second: UInt64 = 1_000_000_000
private let found = Resolver.Outcome.addresses([SocketAddress("192.0.2.1", port: 0)!])

/// Look-ups with a clock of their own, and a name server that answers when the test says so.
private final class Scene {
    private var lookUps: LookUps
    var now = second
    private(set) var running: [String] = []
    private(set) var told: [(name: String, outcome: Resolver.Outcome, at: UInt64)] = []
    private let box = Box()

    private final class Box: Sendable { let told = Mutex<[(String, Resolver.Outcome)]>([]) }

    init(_ bounds: LookUps.Bounds = LookUps.Bounds()) { lookUps = LookUps(bounds) }

    /// Whether the answer was remembered.
    @discardableResult
    func ask(_ name: String, of key: String? = nil, awaited: Bool = true) -> Resolver.Outcome? {
        let box = box
        let remembered = lookUps.ask(name, under: key ?? name, isAwaited: awaited, now: now) { outcome in
            box.told.withLock { $0.append((name, outcome)) }
        }
        begin()
        return remembered
    }

    private func begin() { while let name = lookUps.begin(now: now) { running.append(name) } }

    func answer(_ name: String, _ outcome: Resolver.Outcome) {
        running.removeAll { $0 == name }
        for done in lookUps.finish(name, outcome, now: now) { done(outcome) }
        take()
        begin()
    }

    /// Lets time pass, and everything happen in its time.
    func wait(_ time: UInt64) {
        let end = now + time
        while let next = lookUps.nextEvent, next <= end {
            now = max(now, next)
            for done in lookUps.advance(now: now) { done(.failed("late")) }
            take()
            begin()
        }
        now = end
    }

    private func take() {
        told += box.told.withLock { list in
            defer { list = [] }
            return list.map { ($0.0, $0.1, now) }
        }
    }

    func answers(to name: String) -> [Resolver.Outcome] { told.filter { $0.name == name }.map(\.outcome) }
}

@Suite struct LookUpsTests {
    @Test("one tenant's dead names hold a few threads, and nobody else's names")
    func oneTenant() {
        let scene = Scene()
        for i in 0..<100 { scene.ask("dead-\(i)", of: "acme") }
        #expect(scene.running.count == 4)
        scene.ask("alive", of: "globex")
        #expect(scene.running.contains("alive"))
    }

    @Test("dead names of many tenants delay another one by half a second, not by how long they take")
    func manyTenants() {
        let scene = Scene()
        for i in 0..<20 { scene.ask("dead-\(i)") }
        scene.ask("alive")
        #expect(!scene.running.contains("alive"))
        scene.wait(500 * millisecond)
        #expect(scene.running.contains("alive"))
    }

    @Test("names that hung before leave threads to those that did not, however many they are")
    func reserved() {
        let scene = Scene()
        let dead = (0..<200).map { "dead-\($0)" }
        for name in dead { scene.ask(name) }
        // Each has hung once, and come back.
        for _ in 0..<200 where !scene.running.isEmpty {
            scene.wait(6 * second)
            for name in scene.running { scene.answer(name, .failed("SERVFAIL")) }
        }
        scene.wait(60 * second)
        for name in dead { scene.ask(name) }
        #expect(scene.running.count == 12)
        scene.wait(second)
        scene.ask("alive")
        #expect(scene.running.contains("alive"))
        scene.wait(100 * second)
        scene.ask("another")
        #expect(scene.running.contains("another"))
        #expect(scene.running.count <= 64)
    }

    @Test("whoever waits is told once, within the bound, whatever becomes of the look-up")
    func bound() {
        let scene = Scene()
        for i in 0..<300 { scene.ask("dead-\(i)", of: "key-\(i % 7)") }
        let asked = scene.now
        scene.wait(5 * second)
        #expect(scene.told.count == 300 && scene.told.allSatisfy { $0.at <= asked + 5 * second })
        for name in scene.running { scene.answer(name, found) }
        scene.wait(60 * second)
        #expect(scene.told.count == 300)
    }

    @Test("a failure is remembered for one second, two, four, up to thirty; then the name is asked for again")
    func backoff() {
        let scene = Scene()
        for pause: UInt64 in [1, 2, 4, 8, 16, 30, 30] {
            #expect(scene.ask("dead") == nil)
            scene.answer("dead", .failed("no such name"))
            scene.wait(pause * second - millisecond)
            #expect(scene.ask("dead") == .failed("no such name"))
            #expect(scene.running.isEmpty)
            scene.wait(millisecond)
        }
        #expect(scene.ask("dead") == nil)
        scene.answer("dead", found)
        scene.wait(2 * second)
        #expect(scene.ask("dead") == nil, "a success ends it")
    }

    @Test("a name whose look-up hangs on is not looked up twice; what it brings at last is kept")
    func late() {
        let scene = Scene()
        scene.ask("slow")
        scene.wait(5 * second)
        #expect(scene.answers(to: "slow") == [.failed("late")])
        scene.wait(10 * second)
        #expect(scene.ask("slow") == .failed("no answer in time"))
        #expect(scene.running == ["slow"])
        scene.answer("slow", found)
        scene.wait(20 * second)
        #expect(scene.ask("slow") == found)
    }

    @Test("who asks for the same name shares its look-up")
    func shared() {
        let scene = Scene()
        scene.ask("app", of: "acme")
        scene.ask("app", of: "globex")
        #expect(scene.running == ["app"])
        scene.answer("app", found)
        #expect(scene.answers(to: "app") == [found, found])
        #expect(scene.ask("app", of: "initech") == found)
    }

    @Test("a key that is held up holds up nobody who asks for the same name")
    func sharedWithSomebodyHeldUp() {
        let scene = Scene()
        for i in 0..<10 { scene.ask("dead-\(i)", of: "acme") }
        scene.ask("app", of: "acme")
        #expect(!scene.running.contains("app"))
        scene.ask("app", of: "globex")
        #expect(scene.running.contains("app"))
    }

    @Test("what a request waits for goes before what is only refreshed")
    func urgency() {
        let scene = Scene()
        for i in 0..<100 { scene.ask("known-\(i)", awaited: false) }
        #expect(scene.running.count == 12)
        scene.ask("fresh")
        #expect(scene.running.contains("fresh"))
        // A refresh that waits for its turn, and then a request for it.
        #expect(!scene.running.contains("known-99"))
        scene.ask("known-99")
        #expect(scene.running.contains("known-99"))
    }

    @Test("keys take turns, not names")
    func turns() {
        let scene = Scene(LookUps.Bounds(active: 1, reserved: 0))
        for i in 0..<5 { scene.ask("a-\(i)", of: "a") }
        for i in 0..<2 { scene.ask("b-\(i)", of: "b") }
        var order: [String] = []
        while let name = scene.running.first {
            order.append(name)
            scene.answer(name, found)
        }
        #expect(order == ["a-0", "a-1", "b-0", "a-2", "b-1", "a-3", "a-4"])
    }
}

@Suite struct ResolverTests {
    /// What the scripted name server was asked, and whether it may answer.
    private final class Server: Sendable {
        let asked = Mutex<[String]>([])
        let isOpen = Atomic<Bool>(false)

        func lookUp(_ name: String) -> Resolver.Outcome {
            asked.withLock { $0.append(name) }
            while name.hasPrefix("dead"), !isOpen.load(ordering: .relaxed) { Clock.pause() }
            return name.hasPrefix("dead") ? .failed("no such name") : found
        }
    }

    private final class Count: Sendable {
        let outcomes = Mutex<[Resolver.Outcome]>([])
    }

    @Test("threads of their own: dead names hold nobody up, and everybody is told once")
    func threads() {
        let server = Server()
        let bounds = LookUps.Bounds(hangs: 20 * millisecond, patience: 1 * second)
        let resolver = Resolver(bounds, lookUp: server.lookUp)
        let dead = Count()
        for i in 0..<30 { resolver.resolve("dead-\(i)", port: 80, under: "\(i)") { o in dead.outcomes.withLock { $0.append(o) } } }
        let alive = Count()
        let began = Clock.monotonic()
        resolver.resolve("alive", port: 443, under: "alive") { o in alive.outcomes.withLock { $0.append(o) } }
        while alive.outcomes.withLock({ $0.isEmpty }), Clock.monotonic() - began < second { Clock.pause() }
        #expect(alive.outcomes.withLock { $0 } == [.addresses([SocketAddress("192.0.2.1", port: 443)!])])
        #expect(Clock.monotonic() - began < 700 * millisecond, "long before the dead ones are given up")
        while dead.outcomes.withLock({ $0.count }) < 30, Clock.monotonic() - began < 5 * second { Clock.pause() }
        #expect(dead.outcomes.withLock { $0 } == Array(repeating: .failed("no answer in time"), count: 30))
        server.isOpen.store(true, ordering: .relaxed)
    }
}

extension Clock {
    fileprivate static func pause() { usleep(1000) }
}
