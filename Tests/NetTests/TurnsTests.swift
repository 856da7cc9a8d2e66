import Testing

@testable import Net

/// Turns with a clock of their own: every piece of work takes as long as its flow says.
private final class Simulation {
    final class Tenant: Flow {
        var cost: Int64 = 10_000
        var worked: Int64 = 0
    }

    private let loop = try! EventLoop()
    private var turns = Turns()
    private(set) var now: UInt64 = 1_000_000_000
    private var sources: [Source] = []
    private var waking: [ObjectIdentifier: UInt64] = [:]
    private(set) var longestWait: [ObjectIdentifier: UInt64] = [:]

    func source(_ tenant: Tenant) -> Source {
        let source = Source(loop: loop, fd: -1, flow: tenant)
        sources.append(source)
        return source
    }

    func wake(_ source: Source) {
        waking[ObjectIdentifier(source)] = now
        source.flow.append(source)
        turns.activate(source.flow, now: now)
    }

    /// Does the next piece of work, and says whose it was.
    func step() -> Source? {
        guard let source = turns.next()?.follow({ $0 }) else { return nil }
        let key = ObjectIdentifier(source.flow)
        longestWait[key] = max(longestWait[key] ?? 0, now - waking[ObjectIdentifier(source)]!)
        let tenant = source.flow as! Tenant
        tenant.worked += tenant.cost
        now += UInt64(tenant.cost)
        turns.charge(tenant.cost, now: now)
        return source
    }

    func longestWait(of tenant: Tenant) -> UInt64 { longestWait[ObjectIdentifier(tenant)] ?? 0 }
}

@Suite struct TurnsTests {
    /// Two tenants flood, each with connections that are always ready.
    private func share(_ first: Simulation.Tenant, _ second: Simulation.Tenant, rounds: Int = 20_000) -> Double {
        let simulation = Simulation()
        for tenant in [first, second] { for _ in 0..<32 { simulation.wake(simulation.source(tenant)) } }
        for _ in 0..<rounds { if let source = simulation.step() { simulation.wake(source) } }
        return Double(first.worked) / Double(second.worked)
    }

    @Test func floodsShareTheTimeEqually() {
        #expect(abs(share(.init(weight: 1), .init(weight: 1)) - 1) < 0.05)
    }

    @Test func floodsShareTheTimeByWeight() {
        #expect(abs(share(.init(weight: 3), .init(weight: 1)) - 3) < 0.15)
    }

    @Test func dearWorkGetsNoMoreTimeThanCheapWork() {
        let (dear, cheap) = (Simulation.Tenant(weight: 1), Simulation.Tenant(weight: 1))
        dear.cost = 400_000
        #expect(abs(share(dear, cheap) - 1) < 0.05)
    }

    /// Beside a flood that has used up what it had, another tenant asks once in so many pieces of work: it waits for one
    /// of them at most.
    @Test("a flood costs a tenant that asks for little one piece of work", arguments: [
        500,
        // A twentieth of the time, for as long as it takes: its credit comes back, and it never falls behind.
        20,
    ])
    func aFloodCostsOnePieceOfWork(every period: Int) {
        let simulation = Simulation()
        let (loud, modest) = (Simulation.Tenant(weight: 1), Simulation.Tenant(weight: 1))
        for _ in 0..<128 { simulation.wake(simulation.source(loud)) }
        let lone = simulation.source(modest)
        for _ in 0..<100 { if let source = simulation.step() { simulation.wake(source) } }
        for i in 0..<100_000 {
            if i % period == 0 { simulation.wake(lone) }
            if let source = simulation.step(), source !== lone { simulation.wake(source) }
        }
        #expect(simulation.longestWait(of: modest) <= UInt64(loud.cost))
    }

    /// 64 connections that are always ready, each with another tenant's request every time: nobody may wait for much
    /// longer than in one queue.
    @Test func nobodyWaitsLongAmongManyWhoAskForLittle() {
        let simulation = Simulation()
        let tenants = (0..<10_000).map { _ in Simulation.Tenant(weight: 1) }
        let connections = (0..<64).map { simulation.source(tenants[$0]) }
        connections.forEach(simulation.wake)
        for i in 64..<200_000 {
            guard let source = simulation.step() else { break }
            source.flow = tenants[i % tenants.count]
            simulation.wake(source)
        }
        let longest = tenants.map(simulation.longestWait(of:)).max()!
        #expect(longest <= 2 * 64 * 10_000)
    }

    @Test func whoIsSpentGetsAFifthOfTheTimeAgainstAnyNumberOfFreshOnes() {
        let simulation = Simulation()
        let spent = Simulation.Tenant(weight: 1)
        for _ in 0..<8 { simulation.wake(simulation.source(spent)) }
        var fresh: [Simulation.Tenant] = []
        for _ in 0..<20_000 {
            // Always a new one, whose credit is whole.
            fresh.append(.init(weight: 1))
            simulation.wake(simulation.source(fresh.last!))
            if let source = simulation.step(), source.flow === spent { simulation.wake(source) }
        }
        let share = Double(spent.worked) / Double(spent.worked + fresh.reduce(0) { $0 + $1.worked })
        #expect(share > 0.19 && share < 0.22)
    }

    /// A connection whose news come one at a time, but always before its flow's turn is over.
    @Test func aSteadyStreamDoesNotHoldOnToItsTurn() {
        let simulation = Simulation()
        let (stream, other) = (Simulation.Tenant(weight: 1), Simulation.Tenant(weight: 1))
        stream.cost = 200_000
        let (one, two) = (simulation.source(stream), simulation.source(other))
        simulation.wake(one)
        // The other one is spent as well.
        for _ in 0..<10 {
            simulation.wake(two)
            while let source = simulation.step() { if source === two { break } else { simulation.wake(source) } }
        }
        simulation.wake(two)
        for _ in 0..<100 { if let source = simulation.step(), source === one { simulation.wake(one) } }
        #expect(simulation.longestWait(of: other) <= 2 * UInt64(stream.cost))
    }

    @Test func whatIsUrgentWaitsForNothingButTheWorkInHand() {
        let simulation = Simulation()
        let tenants = (0..<1000).map { _ in Simulation.Tenant(weight: 1000) }
        for tenant in tenants { simulation.wake(simulation.source(tenant)) }
        let urgent = Simulation.Tenant(weight: 1, isUrgent: true)
        let signal = simulation.source(urgent)
        for _ in 0..<5000 {
            simulation.wake(signal)
            #expect(simulation.step() === signal)
            if let other = simulation.step() { simulation.wake(other) }
        }
        withExtendedLifetime((tenants, urgent)) {}
    }

    @Test func anAccidentIsNotHeldAgainstItsVictim() {
        let simulation = Simulation()
        let (loud, victim) = (Simulation.Tenant(weight: 1), Simulation.Tenant(weight: 1))
        for _ in 0..<16 { simulation.wake(simulation.source(loud)) }
        let lone = simulation.source(victim)
        // The CPU was taken away for half a second meanwhile.
        victim.cost = 500_000_000
        simulation.wake(lone)
        while let source = simulation.step(), source !== lone { simulation.wake(source) }
        victim.cost = 10_000
        simulation.wake(lone)
        let began = simulation.now
        while let source = simulation.step(), source !== lone { simulation.wake(source) }
        #expect(simulation.now - began <= 20 * UInt64(Flow.quantum))
    }
}
