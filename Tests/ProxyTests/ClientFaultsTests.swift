import Base
import Net
import Testing

@testable import Proxy

@Suite("What is told of clients that can't be served")
struct ClientFaultsTests {
    private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(text, port: 1)) }

    @Test("all addresses of one IPv6 network are one client, each of IPv4 is its own")
    func networks() throws {
        for (addresses, lines) in [
            (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff"], 1),
            (["2001:db8:0:1::1", "2001:db8:0:2::1"], 2),
            (["192.0.2.1", "192.0.2.2"], 2),
            (["192.0.2.1", "192.0.2.1"], 1),
            // The network of the IPv4-mapped ones is all of IPv4.
            (["192.0.2.1", "::1"], 2),
        ] {
            var faults = ClientFaults()
            let rate = SharedRate()
            for text in addresses { faults.note(try address(text), "*:443", .notTLS, within: rate, now: 1) }
            let taken = faults.take()
            let report = try #require(taken)
            #expect(report.lines.count == lines, "\(addresses)")
            #expect(report.lines[0].contains("client \(addresses[0]) on *:443: no TLS on a TLS port"))
            #expect(report.lines[0].contains("and \(addresses.count - 1) more") == (lines == 1))
        }
    }
}
