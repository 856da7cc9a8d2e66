import Base
import Glibc
import Testing

@testable import HTTP
@testable import Net
@testable import Proxy

@Suite("Exchanges: connecting")
struct DialTests {
    private static let three = "upstream app { server 10.0.0.1:80; server 10.0.0.2:80; server 10.0.0.3:80; balance round_robin; }"
    private static let named = "upstream app { server app.test:80; }"

    /// A worker that knows the name by these addresses.
    private func known(_ addresses: String...) throws -> ScriptedWorker {
        let gateway = try ScriptedWorker(Self.named)
        for server in gateway.snapshot.upstreams[0].servers {
            server.adopt(.addresses(addresses.map { SocketAddress($0, port: 80)! }))
        }
        return gateway
    }

    private func hosts(_ gateway: ScriptedWorker) -> [String] { gateway.dialed.map(\.address.host) }

    @Test("every server and every address is tried, whatever the method, without a retry of the budget")
    func all() throws {
        let gateway = try ScriptedWorker(Self.three)
        gateway.dials { $0.server.host == "10.0.0.3" ? .connecting : .refused }
        for number in 0..<300 {
            let client = gateway.client().ask(number % 2 == 0 ? "POST" : "GET", first: "body")
            #expect(gateway.last.pool.server.host == "10.0.0.3")
            gateway.last.connect()
            gateway.last.answer(200, isLast: true)
            #expect(client.status == 200)
        }
        let addresses = try known("10.1.0.1", "10.1.0.2", "fd00::1")
        let client = addresses.client().ask("POST", first: "body")
        addresses.last.refuse()
        addresses.last.refuse(ENETUNREACH)
        #expect(hosts(addresses) == ["10.1.0.1", "fd00::1", "10.1.0.2"])
        addresses.last.connect()
        #expect(addresses.last.body == Array("body".utf8))
        addresses.last.answer(200, isLast: true)
        #expect(client.status == 200)
    }

    @Test("who says nothing for a quarter of a second is raced by the next; the loser is closed, and rests")
    func race() throws {
        let gateway = try known("10.1.0.1", "10.1.0.2")
        let client = gateway.client().ask()
        gateway.step(230)
        #expect(hosts(gateway) == ["10.1.0.1"])
        gateway.step(50)
        try #require(hosts(gateway) == ["10.1.0.1", "10.1.0.2"])
        let (slow, fast) = (gateway.dialed[0], gateway.dialed[1])
        #expect(slow.pool.inFlight == 2 && slow.pool.open == 2)
        fast.connect()
        #expect(slow.state == .cancelled && slow.pool.inFlight == 1 && slow.pool.open == 1)
        fast.answer(200, isLast: true)
        #expect(client.status == 200 && client.isOver)
        for _ in 0..<4 {
            gateway.client().ask()
            #expect(gateway.last.address.host == "10.1.0.2")
            gateway.last.connect()
            gateway.last.answer(200, isLast: true)
        }
    }

    @Test("the first one may still win, and then the second is closed and not held to be slow")
    func slowWins() throws {
        let gateway = try known("10.1.0.1", "10.1.0.2")
        gateway.client().ask()
        gateway.step(400)
        gateway.dialed[0].connect()
        #expect(gateway.dialed[1].state == .cancelled && gateway.dialed[0].state == .busy)
        gateway.dialed[0].answer(200, isLast: true)
        gateway.client().ask()
        #expect(gateway.last.address.host == "10.1.0.2")
    }

    @Test("servers race as addresses do, and a race is not held up by one that must be waited for")
    func servers() throws {
        let gateway = try ScriptedWorker(
            "upstream app { server 10.0.0.1:80; server other.test:80; server 10.0.0.3:80; balance round_robin; }")
        gateway.client().ask("POST", first: "x")
        gateway.step(300)
        gateway.step(300)
        #expect(hosts(gateway) == ["10.0.0.1", "10.0.0.3"])
        gateway.last.connect()
        gateway.last.answer(200, isLast: true)
        #expect(gateway.dialed[0].state == .cancelled)
        #expect(gateway.dialed[0].pool.server.trouble == "it says nothing to a new connection while another server answers")
    }

    @Test("all of it has connect_timeout, and then nothing of it is left")
    func time() throws {
        let gateway = try known("10.1.0.1", "10.1.0.2", "10.1.0.3")
        let client = gateway.client().ask("PUT", fields: "Content-Length: 4\r\n", first: "body")
        gateway.step(300)
        gateway.step(300)
        #expect(gateway.dialed.count == 3)
        gateway.step(4_350)
        #expect(!client.isOver)
        gateway.step(100)
        #expect(client.status == 502 && client.isOver)
        let pool = gateway.last.pool
        #expect(gateway.dialed.allSatisfy { $0.state == .cancelled } && pool.inFlight == 0 && pool.open == 0)
        #expect(pool.rests(at: gateway.now) && gateway.underWay() == 0)
    }

    @Test("a client that leaves takes all connects with it")
    func leaving() throws {
        let gateway = try known("10.1.0.1", "10.1.0.2")
        let client = gateway.client().ask()
        gateway.step(300)
        client.leave()
        #expect(gateway.dialed.allSatisfy { $0.state == .cancelled } && gateway.last.pool.open == 0)
        gateway.step(10_000)
        #expect(gateway.dialed.count == 2 && !gateway.last.pool.rests(at: gateway.now))
    }

    @Test("silence does not rest a server that has just answered")
    func pause() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; server 10.0.0.2:80; balance round_robin; }")
        gateway.dials { $0.server.host == "10.0.0.1" ? .connecting : .lack }
        gateway.client().ask()
        gateway.last.connect()
        gateway.last.answer(200, isLast: true)
        let pool = gateway.last.pool
        let client = gateway.client().ask()
        gateway.step(5_100)
        #expect(client.status == 502)
        #expect(!pool.rests(at: gateway.now))
    }

    @Test("a server whose name is not found is passed over; the name is looked up all the same")
    func nameless() throws {
        let gateway = try ScriptedWorker("upstream app { server app.test:80; server 10.0.0.2:80; balance round_robin; }")
        for _ in 0..<4 {
            let client = gateway.client().ask()
            gateway.last.connect()
            gateway.last.answer(200, isLast: true)
            #expect(client.status == 200)
        }
        gateway.found("app.test", at: "10.1.0.1")
        let hosts = (0..<2).map { _ in
            gateway.client().ask()
            return gateway.last.pool.server.host
        }
        #expect(Set(hosts) == ["app.test", "10.0.0.2"])
        // Both names unknown: the one that was waited for is not found, the other one is asked for.
        let two = try ScriptedWorker("upstream app { server one.test:80; server two.test:80; balance round_robin; }")
        let client = two.client().ask()
        two.found("one.test")
        two.step()
        two.found("two.test", at: "10.1.0.2")
        two.step()
        two.last.connect()
        two.last.answer(200, isLast: true)
        #expect(client.status == 200)
    }

    @Test("a kept connection's end before an answer costs neither a retry nor a try, and the next one is a fresh one")
    func stale() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; }")
        for _ in 0..<100 {
            let client = gateway.client().ask("PUT", fields: "Content-Length: 4\r\n", first: "body")
            gateway.last.isKept = true
            gateway.last.connect()
            gateway.last.fail(.stale)
            let fresh = gateway.last
            fresh.connect()
            #expect(fresh.body == Array("body".utf8) && client.exchange?.attempts.sendings == 1)
            fresh.answer(200, isLast: true)
            #expect(client.status == 200)
        }
    }
}
