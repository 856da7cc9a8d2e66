import Base
import Testing

@testable import HTTP
@testable import Net
@testable import Proxy

@Suite("Exchanges: back-pressure, both ways")
struct BackPressureTests {
    private func begun(_ fields: String = "Content-Length: 1000\r\n") throws -> (ScriptedWorker, ScriptedClient) {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; }")
        return (gateway, gateway.client().ask("POST", fields: fields, first: "a", isLast: false))
    }

    @Test("nothing is read of a request while it has no connection, nor while the server takes nothing")
    func upload() throws {
        let (gateway, client) = try begun()
        let exchange = try #require(client.exchange)
        #expect(!exchange.wantsRequest)
        gateway.last.connect()
        #expect(exchange.wantsRequest)
        gateway.last.takes = false
        #expect(!exchange.wantsRequest)
        let wakes = client.wakes
        gateway.last.drain()
        gateway.step()
        #expect(exchange.wantsRequest && client.wakes > wakes)
        client.send("b", isLast: true)
        #expect(!exchange.wantsRequest)
    }

    @Test("while the server takes nothing, it is not the client who is late; then it is")
    func whoIsLate() throws {
        let (gateway, client) = try begun()
        gateway.last.connect()
        gateway.last.takes = false
        client.send("b")
        gateway.step(100_000)
        #expect(client.heard.isEmpty)
        gateway.last.drain()
        gateway.step(61_000)
        #expect(client.status == 408)
    }

    @Test("nothing is read of an answer while the client takes nothing, and it may take its time between two pieces")
    func download() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; }")
        let client = gateway.client().ask()
        let exchange = try #require(client.exchange)
        gateway.last.connect()
        gateway.last.answer(200, "1")
        #expect(exchange.answerRoom == Limits.readSize)
        client.takes = false
        gateway.last.send("2")
        #expect(exchange.answerRoom == 0)
        gateway.step(29_000)
        #expect(!client.isOver)
        let wants = gateway.last.wants
        client.drain()
        #expect(exchange.answerRoom == Limits.readSize && gateway.last.wants == wants + 1)
        gateway.last.send("3", isLast: true)
        #expect(client.body == Array("123".utf8))
    }

    @Test("a client that takes nothing of its answer for too long loses it")
    func stuck() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; }")
        let client = gateway.client().ask()
        gateway.last.connect()
        client.takes = false
        gateway.last.answer(200, "1")
        gateway.step(61_000)
        #expect(client.heard.last == .brokenOff && gateway.last.state == .cancelled)
    }

    @Test("a tenant's bandwidth paces its answers: what is not paid for is not read")
    func pace() throws {
        let gateway = try ScriptedWorker(
            "upstream app { server 10.0.0.1:80; }", tenants: "tenant acme { host acme.test; upstream app; bandwidth 1k/s; }")
        let client = gateway.client().ask()
        let exchange = try #require(client.exchange)
        gateway.last.connect()
        gateway.last.answer(200, String(repeating: "x", count: 20_000))
        #expect(exchange.answerRoom == 0)
        gateway.step(60_000)
        #expect(exchange.answerRoom > 0 && exchange.answerRoom <= 2048)
    }

    @Test("both directions of a tunnel stop and go on by themselves")
    func tunnel() throws {
        let gateway = try ScriptedWorker("upstream app { server 10.0.0.1:80; }")
        let client = gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        let exchange = try #require(client.exchange)
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.takes = false
        #expect(!exchange.wantsRequest && exchange.answerRoom > 0)
        gateway.last.drain()
        client.takes = false
        #expect(exchange.wantsRequest && exchange.answerRoom == 0)
        client.drain()
        #expect(exchange.answerRoom > 0)
    }
}
