import Base
import Net
import Testing

@testable import Client

@Suite struct AddressTriesTests {
    private func tries(_ hosts: String...) -> AddressTries { AddressTries(hosts.map { SocketAddress($0, port: 80)! }) }

    @Test("families in turns, and no more than four")
    func order() {
        var tries = tries("fd00::1", "fd00::2", "192.0.2.1", "192.0.2.2", "fd00::3")
        var hosts: [String] = []
        while let address = tries.next() { hosts.append(address.host) }
        #expect(hosts == ["fd00::1", "192.0.2.1", "fd00::2", "192.0.2.2"])
        var none = self.tries()
        #expect(none.next() == nil)
    }

    @Test("while there is another one, it begins a quarter of a second later; after the last one the end is waited for")
    func looks() {
        var tries = tries("192.0.2.1", "192.0.2.2")
        _ = tries.next()
        #expect(tries.nextLook(now: 5, end: .max) == 5 + Limits.raceNanoseconds)
        #expect(tries.nextLook(now: 5, end: 100) == 100)
        _ = tries.next()
        #expect(tries.nextLook(now: 5, end: 1 << 40) == 1 << 40)
    }
}
