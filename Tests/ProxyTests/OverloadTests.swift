import Net
import Testing

@testable import Metrics
@testable import Proxy

@Suite("Stages of overload") struct OverloadStagesTests {
    private let ms: UInt64 = 1_000_000

    private func memory(_ value: Double) -> OverloadStages.Level { .init(.memory, value, bounds: (100, 110, 120)) }
    private func lag(_ value: Double) -> OverloadStages.Level { .init(.lag, value, bounds: (50, 100, 200)) }

    @Test("what is there begins at once, being late must last")
    func begins() {
        var stages = OverloadStages()
        stages.look(at: [memory(99), lag(0)], now: 0)
        #expect(stages.stage == 0)
        stages.look(at: [memory(112), lag(0)], now: 1)
        #expect(stages.stage == 2 && stages.cause == .memory)
        stages = OverloadStages()
        for look in 1...4 {
            stages.look(at: [memory(0), lag(500)], now: UInt64(look))
            #expect(stages.stage == 0)
        }
        stages.look(at: [memory(0), lag(70)], now: 5)
        #expect(stages.stage == 1 && stages.cause == .lag)
    }

    @Test("once late is nothing, however late")
    func once() {
        var stages = OverloadStages()
        for look in 0..<100 {
            stages.look(at: [lag(look % 3 == 0 ? 10_000 : 0)], now: UInt64(look) * 100 * ms)
            #expect(stages.stage == 0)
        }
    }

    @Test("ends one stage after the other, each once all has been well below it for a while")
    func ends() {
        var stages = OverloadStages()
        stages.look(at: [memory(150)], now: 0)
        #expect(stages.stage == 3)
        // Below the bound of stage 3, and not well below.
        for look in 1...50 { stages.look(at: [memory(109)], now: UInt64(look) * 100 * ms) }
        #expect(stages.stage == 3)
        for look in 51...55 { stages.look(at: [memory(105)], now: UInt64(look) * 100 * ms) }
        #expect(stages.stage == 3)
        stages.look(at: [memory(105)], now: 5600 * ms)
        #expect(stages.stage == 2)
        // It is not well below that of stage 2.
        for look in 57...90 { stages.look(at: [memory(105)], now: UInt64(look) * 100 * ms) }
        #expect(stages.stage == 2)
        var now = 9_000 * ms
        for _ in 0..<12 {
            now += 100 * ms
            stages.look(at: [memory(1)], now: now)
        }
        #expect(stages.stage == 0)
    }

    @Test("does not swing at a bound")
    func swings() {
        var stages = OverloadStages()
        var changes = 0
        for look in 0..<1000 {
            let before = stages.stage
            stages.look(at: [memory(look % 2 == 0 ? 101 : 99)], now: UInt64(look) * 100 * ms)
            if stages.stage != before { changes += 1 }
        }
        #expect(changes == 1)
    }
}

@Suite("Whose requests are refused in an overload") struct SheddingTests {
    private func tenant(_ id: String, weight: Int = 1) -> TenantState { TenantState(id: id, weight: weight, metrics: TenantMetrics(tenant: id)) }

    @Test("nobody's before it begins, and nobody's below his share")
    func shares() {
        var shedding = Shedding()
        let (flood, quiet) = (tenant("flood"), tenant("quiet"))
        for _ in 0..<400 { shedding.began(flood) }
        #expect(!shedding.refuses(flood))
        shedding.look(isShort: true)
        #expect(shedding.bound == 350)
        #expect(shedding.refuses(flood) && !shedding.refuses(quiet))
        // The quiet one has half of it, and the flood the rest once there is room.
        for _ in 0..<175 { shedding.began(quiet) }
        #expect(shedding.refuses(quiet))
        for _ in 0..<400 { shedding.ended(flood) }
        #expect(!shedding.refuses(quiet))
    }

    @Test("shares are by weight")
    func weights() {
        var shedding = Shedding()
        let (one, three) = (tenant("one"), tenant("three", weight: 3))
        for _ in 0..<100 { shedding.began(one) }
        for _ in 0..<100 { shedding.began(three) }
        for _ in 0..<4 { shedding.look(isShort: true) }
        // 200 sink to 116: a quarter, and three quarters.
        #expect(shedding.bound == 116)
        for _ in 0..<70 { shedding.ended(one) }
        #expect(shedding.refuses(one) && shedding.refuses(three))
        for _ in 0..<14 { shedding.ended(three) }
        #expect(shedding.refuses(one) && !shedding.refuses(three))
    }

    @Test("the bound sinks to a last few, and is gone some time after the overload")
    func bound() {
        var shedding = Shedding()
        let one = tenant("one")
        for _ in 0..<1000 { shedding.began(one) }
        for _ in 0..<100 { shedding.look(isShort: true) }
        #expect(shedding.bound == Shedding.boundMin)
        for _ in 0..<1000 { shedding.ended(one) }
        var looks = 0
        while shedding.isOn, looks < 1000 {
            shedding.look(isShort: false)
            looks += 1
        }
        #expect(looks < 100)
        #expect(!shedding.refuses(one))
    }
}

@Suite("Connections and handshakes of an address") struct AddressLimitsTests {
    @Test("as many as there may be, and one more for each that ends")
    func connections() throws {
        let limits = AddressLimits()
        let place = limits.place(of: try #require(SocketAddress("192.0.2.1", port: 1)))
        #expect(place == limits.place(of: try #require(SocketAddress("192.0.2.1", port: 999))))
        for _ in 0..<10 { #expect(limits.take(place, upTo: 10)) }
        #expect(!limits.take(place, upTo: 10) && !limits.take(place, upTo: 10))
        limits.giveBack(place)
        #expect(limits.take(place, upTo: 10))
        #expect(!limits.take(place, upTo: 10))
    }

    @Test("a client of IPv6 is its /64, one of IPv4 its address")
    func places() throws {
        let limits = AddressLimits()
        func place(_ text: String) throws -> AddressLimits.Place { limits.place(of: try #require(SocketAddress(text, port: 1))) }
        #expect(try place("2001:db8::1") == place("2001:db8::ffff:1:2"))
        var places: [AddressLimits.Place] = []
        for i in 0..<50 {
            for one in [try place("2001:db8:0:\(i)::1"), try place("192.0.2.\(i)")] where !places.contains(one) { places.append(one) }
        }
        #expect(places.count > 95)
    }

    @Test("handshakes: a burst of a second's, then as they come due")
    func handshakes() throws {
        let limits = AddressLimits()
        let place = limits.place(of: try #require(SocketAddress("192.0.2.1", port: 1)))
        let second: UInt64 = 1_000_000_000
        var now = 1000 * second
        func shake() -> Bool { limits.mayShakeHands(place, rate: 200, in: second, now: now) }
        #expect((0..<1000).count { _ in shake() } == 200)
        now += second / 2
        #expect((0..<1000).count { _ in shake() } == 100)
        var served = 0
        for _ in 0..<10_000 {
            now += second / 1000
            if shake() { served += 1 }
        }
        #expect((1999...2001).contains(served))
    }
}
