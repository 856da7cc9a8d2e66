import Net
import Testing

@testable import Client

@Suite struct AddressTriesTests {
    private let addresses = (1...6).map { SocketAddress("192.0.2.\($0)", port: 80)! }

    @Test("each address has its share of what is left, the last one all of it")
    func shares() {
        var tries = AddressTries(Array(addresses.prefix(3)), deadline: 1000)
        func next(_ now: UInt64) -> (SocketAddress, UInt64)? { tries.next(now: now) }
        #expect(next(100)! == (addresses[0], 400))
        // One that fails at once leaves its share to the others.
        #expect(next(110)! == (addresses[1], 555))
        #expect(next(555)! == (addresses[2], 1000))
        #expect(next(560) == nil)
    }

    @Test("no more than four, and none is given time that there is not")
    func bounds() {
        var tries = AddressTries(addresses, deadline: 1000)
        var count = 0
        while let (_, until) = tries.next(now: 2000) {
            #expect(until == 1000)
            count += 1
        }
        #expect(count == 4)
        var none = AddressTries([], deadline: 1000)
        #expect(none.next(now: 0) == nil)
    }
}
