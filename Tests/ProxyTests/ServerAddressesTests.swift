import Net
import Testing

@testable import Proxy

@Suite struct ServerAddressesTests {
    private let second: UInt64 = 1_000_000_000

    private func address(_ text: String) -> SocketAddress { SocketAddress(text, port: 80)! }

    private func addresses(_ texts: String..., down: Set<String> = []) -> ServerAddresses {
        var all = ServerAddresses()
        all.adopt(texts.map(address), down: Set(down.map(address)))
        return all
    }

    private func order(_ all: inout ServerAddresses, at now: UInt64 = 0) -> [String] { all.order(at: now).map(\.address.host) }

    @Test("they take turns at being the first")
    func turns() {
        var all = addresses("10.0.0.1", "10.0.0.2", "10.0.0.3")
        #expect(order(&all) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
        #expect(order(&all) == ["10.0.0.2", "10.0.0.3", "10.0.0.1"])
        #expect(order(&all) == ["10.0.0.3", "10.0.0.1", "10.0.0.2"])
        #expect(order(&all) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
        var none = addresses()
        #expect(order(&none).isEmpty)
    }

    @Test("renewed, nothing is known of them but that they are down, and what was connected to them is good no more")
    func renewed() {
        var all = addresses("10.0.0.1", "10.0.0.2", down: ["10.0.0.2"])
        let one = all.all[0]
        all.failed(one, .refused, at: second)
        #expect(all.areGood(one) && all.restsUntil > second)
        all.renew()
        #expect(!all.areGood(one) && all.restsUntil == 0)
        #expect(all.areGood(all.all[0]) && !all.areGood(all.all[1]))
    }

    @Test("families take turns behind the first (RFC 8305 section 4)")
    func families() {
        var all = addresses("fd00::1", "fd00::2", "10.0.0.1", "10.0.0.2", "10.0.0.3")
        #expect(order(&all) == ["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2", "10.0.0.3"])
        #expect(order(&all) == ["fd00::2", "10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.3"])
        #expect(order(&all) == ["10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2", "10.0.0.3"])
    }

    @Test("who rests comes after all others, and first whose rest is over first")
    func rests() {
        var all = addresses("10.0.0.1", "10.0.0.2", "fd00::1")
        let one = all.all[0]
        all.failed(one, .refused, at: second / 2)
        all.failed(one, .refused, at: second)
        #expect(all.restsUntil == 0)
        #expect(order(&all, at: second) == ["10.0.0.2", "fd00::1", "10.0.0.1"])
        all.failed(all.all[2], .refused, at: second)
        #expect(order(&all, at: second).last == "10.0.0.1")
        all.failed(all.all[1], .silent, at: second)
        #expect(all.restsUntil == second + Standing.rest)
        #expect(order(&all, at: second).last == "10.0.0.1")
        all.reached(one, at: second)
        #expect(all.restsUntil == 0 && order(&all, at: second).first == "10.0.0.1")
    }

    @Test("what is down gets nothing while another one is up, and what is known of those that stay is kept")
    func adopting() {
        var all = addresses("10.0.0.1", "10.0.0.2", "10.0.0.3", down: ["10.0.0.1"])
        let (first, second) = (all.all[0], all.all[1])
        all.failed(second, .refused, at: 1)
        #expect(order(&all, at: 1) == ["10.0.0.3", "10.0.0.2"])
        var none = addresses("10.0.0.1", "10.0.0.2", down: ["10.0.0.1", "10.0.0.2"])
        #expect(order(&none, at: 1).count == 2)
        #expect(!all.areGood(first) && all.areGood(second))
        all.adopt([address("10.0.0.2"), address("10.0.0.1"), address("10.0.0.4")])
        #expect(all.all[0] === second && all.all[1] === first && all.areGood(first))
        #expect(order(&all, at: 1).last == "10.0.0.2")
        all.adopt([address("10.0.0.2")])
        #expect(all.restsUntil > 1 && !all.areGood(first))
    }
}
