import Testing

@testable import HTTP
@testable import Net
@testable import Proxy

/// `body_min_rate`: bytes a second over 30 s in which the gateway reads.
@Suite("Exchanges: bodies that drip")
struct BodyRateTests {
    private static let chunked = "Transfer-Encoding: chunked\r\n"

    private func begun(_ limits: String = "", first: String = "") throws -> (ScriptedWorker, ScriptedClient) {
        let gateway = try ScriptedWorker("limits { \(limits) } upstream app { server 10.0.0.1:80; response_timeout 1h; }")
        let client = gateway.client().ask("POST", fields: Self.chunked, first: first, isLast: false)
        gateway.last.connect()
        return (gateway, client)
    }

    /// So many bytes each second, for so long or until there is an answer.
    private func drip(_ gateway: ScriptedWorker, _ client: ScriptedClient, _ bytes: Int, seconds: Int) {
        for _ in 0..<seconds where client.heard.isEmpty || client.heard == [.asked] {
            if bytes > 0 { client.send(String(repeating: "x", count: bytes)) }
            gateway.step(1000)
        }
    }

    @Test("a byte now and then is 408 after the window, and nothing of it reaches the server as a whole")
    func slow() throws {
        let (gateway, client) = try begun()
        drip(gateway, client, 1, seconds: 29)
        #expect(client.status == nil)
        drip(gateway, client, 1, seconds: 2)
        #expect(client.status == 408 && gateway.last.state == .cancelled && !gateway.last.hasAll)
        #expect(client.body.contains(Array("too slowly".utf8)) && gateway.counted() == 1)
    }

    @Test("who sends as much as that goes on, who sends less does not", arguments: [(100, true), (99, false), (1000, true)])
    func bound(bytes: Int, isFast: Bool) throws {
        let (gateway, client) = try begun()
        drip(gateway, client, bytes, seconds: 150)
        #expect((client.status == nil) == isFast)
    }

    @Test("another rate, and none", arguments: [("10", 10, true), ("10", 9, false), ("off", 1, true), ("100000", 99_000, false)])
    func rates(rate: String, bytes: Int, isFast: Bool) throws {
        let (gateway, client) = try begun("body_min_rate \(rate);")
        drip(gateway, client, bytes, seconds: 100)
        #expect((client.status == nil) == isFast)
    }

    @Test("all windows count: a fast beginning makes up for no slow end")
    func windows() throws {
        let (gateway, client) = try begun(first: String(repeating: "x", count: 100_000))
        client.send(String(repeating: "x", count: 100_000))
        drip(gateway, client, 1, seconds: 31)
        #expect(client.status == nil)
        drip(gateway, client, 1, seconds: 31)
        #expect(client.status == 408)
    }

    @Test("body_timeout is for the next part, however fast the others were")
    func timeout() throws {
        let (gateway, client) = try begun("body_timeout 40s;")
        client.send(String(repeating: "x", count: 100_000))
        gateway.step(31_000)
        #expect(client.status == nil)
        gateway.step(10_000)
        #expect(client.status == 408 && !client.body.contains(Array("too slowly".utf8)))
    }

    @Test("while the server takes nothing no time runs, nor before it is there")
    func backPressure() throws {
        let gateway = try ScriptedWorker("limits { body_timeout 1h; } upstream app { server 10.0.0.1:80; connect_timeout 5m; response_timeout 1h; }")
        let client = gateway.client().ask("POST", fields: Self.chunked, first: "x", isLast: false)
        gateway.step(120_000)
        gateway.last.connect()
        drip(gateway, client, 1, seconds: 20)
        gateway.last.takes = false
        client.send("x")
        for _ in 0..<10 { gateway.step(60_000) }
        #expect(client.status == nil)
        gateway.last.drain()
        drip(gateway, client, 1, seconds: 9)
        #expect(client.status == nil)
        drip(gateway, client, 1, seconds: 2)
        #expect(client.status == 408)
    }

    @Test("a server that takes nothing from the first part on holds the client's time as well")
    func backPressureAtOnce() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; response_timeout 1h; }")
        let client = gateway.client().ask("POST", fields: Self.chunked, first: "x", isLast: false)
        gateway.last.takes = false
        gateway.last.connect()
        for _ in 0..<10 { gateway.step(60_000) }
        #expect(client.status == nil)
        gateway.last.drain()
        drip(gateway, client, 1, seconds: 31)
        #expect(client.status == 408)
    }

    @Test("in an answer that has begun it is broken off")
    func answering() throws {
        let (gateway, client) = try begun()
        gateway.last.answer(200, "first")
        for _ in 0..<31 where !client.isOver {
            client.send("x")
            gateway.step(1000)
        }
        #expect(client.heard.last == .brokenOff && client.status == 200)
    }

    @Test("a client that is asked for its body has its window from then on, and one that is whole has none")
    func asked() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; response_timeout 1h; }")
        let client = gateway.client().ask("POST", fields: "Expect: 100-continue\r\nContent-Length: 5\r\n", isLast: false)
        gateway.last.connect()
        gateway.step(25_000)
        client.send("whole", isLast: true)
        gateway.step(600_000)
        #expect(client.heard == [.asked])
        gateway.last.answer(200, "", isLast: true)
        #expect(client.status == 200)
    }

    @Test("tunnels may be as slow as they like, both ways")
    func tunnel() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; }")
        let client = gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        for _ in 0..<20 {
            client.send("x")
            gateway.step(60_000)
            gateway.last.send("y")
        }
        #expect(!client.isOver)
    }
}
