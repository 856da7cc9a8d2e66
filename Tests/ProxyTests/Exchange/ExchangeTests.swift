import Testing

@testable import HTTP
@testable import Net
@testable import Proxy

/// Every arrow of the diagram above `Exchange`.
@Suite("Exchanges: the story of one request")
struct ExchangeTests {
    private static let one = "upstream app { server 10.0.0.1:80; }"
    private static let two = "upstream app { server 10.0.0.1:80; server 10.0.0.2:80; }"
    private static let named = "upstream app { server app.test:80; connect_timeout 1s; }"
    private static let narrow = "upstream app { server 10.0.0.1:80; max_connections 1; connect_timeout 1s; }"

    @Test("beginning ─► forwarding ─► answering ─► over: a request and its answer")
    func whole() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask()
        #expect(gateway.underWay() == 1)
        gateway.last.connect()
        #expect(gateway.last.head.hasPrefix("GET / HTTP/1.1\r\nHost: acme.test\r\n"))
        #expect(gateway.last.hasAll && gateway.last.isExpected)
        gateway.last.answer(200, "hel")
        gateway.last.send("lo", isLast: true)
        #expect(client.heard == [.answered(200), .part("hel", isLast: false), .part("lo", isLast: true), .finished])
        #expect(gateway.last.state == .released && client.isOver && gateway.underWay() == 0)
    }

    @Test("beginning ─► over: a refusal goes nowhere")
    func refused() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask(host: "nobody.test")
        #expect(client.status == 421 && client.heard.last == .finished && gateway.dialed.isEmpty)
        #expect(gateway.client().ask("GET", "/a/..%2fb").status == 400)
        #expect(gateway.underWay() == 0)
    }

    @Test("a head of 400 ends its connection, others leave it")
    func distrust() throws {
        let gateway = try ScriptedWorker(Self.one)
        #expect(gateway.client().ask("GET", "/a/..%2fb").heard.first == .retired)
        #expect(!gateway.client().ask(host: "nobody.test").heard.contains(.retired))
    }

    @Test("beginning ─► set aside: nothing has happened, and it begins anew")
    func setAside() throws {
        let gateway = try ScriptedWorker(
            Self.one, tenants: "tenant acme { host acme.test; upstream app; authenticate api_key; }")
        var aside: ScriptedClient?
        for _ in 0..<200 where aside == nil {
            let client = gateway.client().ask(fields: "X-API-Key: wrong\r\n")
            if client.paused != nil { aside = client } else { #expect(client.status == 401) }
        }
        let client = try #require(aside)
        #expect(client.heard.isEmpty && gateway.underWay() == 0)
        client.ask(fields: "X-API-Key: wrong\r\n")
        #expect(client.status == 429 && client.heard.first == .retired)
    }

    @Test("forwarding ─► waiting ─► forwarding: a name is found")
    func name() throws {
        let gateway = try ScriptedWorker(Self.named)
        let client = gateway.client().ask("POST", first: "body", isLast: true)
        #expect(gateway.dialed.isEmpty && client.heard.isEmpty)
        gateway.found("app.test", at: "10.0.0.7")
        gateway.step()
        gateway.last.connect()
        #expect(gateway.last.body == Array("body".utf8) && gateway.last.hasAll)
        gateway.last.answer(204, fields: "", isLast: true)
        #expect(client.heard == [.answered(204), .part("", isLast: true), .finished])
    }

    @Test("waiting ─► over: a name is not found, or not in time")
    func noName() throws {
        let gateway = try ScriptedWorker(Self.named)
        let client = gateway.client().ask()
        gateway.found("app.test")
        gateway.step()
        #expect(client.status == 502)
        let late = gateway.client().ask()
        gateway.step(7000)
        #expect(late.status == 503 && gateway.underWay() == 0)
        // What comes after that is nobody's.
        gateway.found("app.test", at: "10.0.0.7")
        gateway.step()
        #expect(gateway.dialed.isEmpty)
    }

    @Test("forwarding ─► waiting ─► forwarding: a place becomes free")
    func place() throws {
        let gateway = try ScriptedWorker(Self.narrow)
        let (first, second) = (gateway.client().ask(), gateway.client().ask())
        gateway.last.connect()
        gateway.last.answer(200, "1", isLast: true)
        gateway.step()
        #expect(gateway.dialed.count == 2)
        gateway.last.connect()
        gateway.last.answer(200, "2", isLast: true)
        #expect(first.body == Array("1".utf8) && second.body == Array("2".utf8))
    }

    @Test("waiting ─► over: no place in time, and none for more than may wait")
    func noPlace() throws {
        let gateway = try ScriptedWorker(Self.narrow)
        let clients = (0..<18).map { _ in gateway.client().ask() }
        gateway.last.connect()
        #expect(clients[17].status == 503)
        #expect(clients[1...16].allSatisfy { $0.status == nil })
        gateway.step(1100)
        #expect(clients[1...16].allSatisfy { $0.status == 503 })
        #expect(clients[0].status == nil && gateway.underWay() == 1)
    }

    @Test("all waiting together has the time of the first line")
    func twoLines() throws {
        let gateway = try ScriptedWorker("upstream app { server app.test:80; max_connections 1; connect_timeout 1s; }")
        let clients = (0..<2).map { _ in gateway.client().ask() }
        gateway.step(5500)
        gateway.found("app.test", at: "10.0.0.7")
        gateway.step()
        #expect(gateway.dialed.count == 1 && clients[1].exchange?.phase == .waiting)
        gateway.last.connect()
        gateway.step(600)
        #expect(clients[1].status == 503)
        // And the next one begins anew.
        let next = gateway.client().ask()
        gateway.step(900)
        #expect(next.exchange?.phase == .waiting)
        gateway.step(200)
        #expect(next.status == 503)
    }

    @Test("a connection is there for as long as its exchange names it, and no longer")
    func kept() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask()
        weak let upstream = gateway.takeDialed().first
        upstream?.connect()
        upstream?.answer(200, "hel")
        #expect(upstream != nil)
        upstream?.send("lo", isLast: true)
        #expect(client.body == Array("hello".utf8) && upstream == nil)
    }

    @Test("forwarding ─► forwarding: a cut before the answer is tried once more, on a second server")
    func retry() throws {
        let gateway = try ScriptedWorker(Self.two)
        let client = gateway.client().ask()
        gateway.last.connect()
        gateway.last.fail(.cut)
        #expect(gateway.dialed.count == 2 && gateway.dialed[0].pool !== gateway.dialed[1].pool)
        gateway.last.connect()
        #expect(gateway.last.head == gateway.dialed[0].head)
        gateway.last.fail(.cut)
        #expect(client.status == 502 && gateway.dialed.count == 2)
    }

    @Test("answers before the answer pass, but for a second 100")
    func informed() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask("POST", fields: "Expect: 100-continue\r\nContent-Length: 4\r\n", isLast: false)
        #expect(client.heard == [.asked])
        gateway.last.connect()
        gateway.last.answer(100, fields: "")
        gateway.last.answer(103, fields: "Link: </a>\r\n")
        client.send("body", isLast: true)
        gateway.last.answer(200, fields: "Content-Length: 0\r\n", isLast: true)
        #expect(client.heard == [.asked, .informed(103), .answered(200), .part("", isLast: true), .finished])
        #expect(gateway.last.body == Array("body".utf8))
    }

    @Test("forwarding ─► tunnel ─► over: bytes both ways, until each direction has ended")
    func tunnel() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.connect()
        #expect(gateway.last.head.hasSuffix("Upgrade: chat\r\n"))
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n", "early")
        client.send("from client")
        gateway.last.send("from server")
        #expect(client.heard == [.tunnel, .part("early", isLast: false), .part("from server", isLast: false)])
        #expect(gateway.last.body == Array("from client".utf8))
        let server = gateway.last
        gateway.last.send("", isLast: true)
        #expect(client.heard.last == .part("", isLast: true) && !client.isOver && server.state == .busy && !server.hasEnd)
        client.send("still from client")
        #expect(server.body == Array("from clientstill from client".utf8))
        client.send("", isLast: true)
        #expect(client.heard.suffix(2) == [.retired, .finished] && server.state == .cancelled && gateway.underWay() == 0)
    }

    @Test("a tunnel's client may end first, and what the server still says arrives")
    func tunnelEndedByClient() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        let (server, exchange) = (gateway.last, try #require(client.exchange))
        client.send("question")
        client.send("", isLast: true)
        #expect(server.hasEnd && server.state == .busy && !client.isOver && !exchange.wantsRequest)
        gateway.step(3_000_000)
        server.send("answer")
        gateway.step(3_000_000)
        #expect(!client.isOver && String(decoding: client.body, as: UTF8.self) == "answer")
        server.send("", isLast: true)
        #expect(client.heard.last == .finished && server.state == .cancelled && gateway.underWay() == 0)
    }

    @Test("a tunnel that has ended one way ends as every other one when nothing moves for an hour")
    func idleHalf() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        client.send("", isLast: true)
        gateway.step(3_500_000)
        #expect(!client.isOver)
        gateway.step(200_000)
        #expect(client.isOver && gateway.last.state == .cancelled && gateway.underWay() == 0)
    }

    @Test("a tunnel whose server has ended is not kept by a client that says nothing")
    func halfTunnelOfServer() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.send("", isLast: true)
        for _ in 0..<10 {
            gateway.step(25_000)
            client.send("more")
        }
        #expect(!client.isOver)
        gateway.step(31_000)
        #expect(client.isOver && gateway.last.state == .cancelled && gateway.underWay() == 0)
    }

    @Test("what a tunnel's server has not taken goes to it before the end")
    func tunnelDrains() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        let server = gateway.last
        server.send("", isLast: true)
        server.takes = false
        client.send("much", isLast: true)
        #expect(!client.isOver && server.state == .busy)
        server.drain()
        #expect(client.heard.last == .finished && server.state == .cancelled)
    }

    @Test(
        "a switch that nobody asked for is no answer, nor is one to another protocol, or to none",
        arguments: [
            ("", "Upgrade: chat\r\n"), ("Upgrade: chat\r\n", "Upgrade: other\r\n"), ("Upgrade: chat\r\n", ""),
            ("Upgrade: chat\r\n", "Upgrade:\r\n"), ("Upgrade: chat\r\n", "Upgrade: chat, other\r\n"),
            ("Upgrade: chat\r\n", "Upgrade: chat\r\nUpgrade: other\r\n"), ("Upgrade: chat/1\r\n", "Upgrade: chat/2\r\n"),
        ])
    func unwantedSwitch(asked: String, named: String) throws {
        let gateway = try ScriptedWorker(Self.one)
        // What another request has asked for says nothing of this one.
        gateway.client().ask(fields: "Connection: upgrade\r\nUpgrade: other\r\n").leave()
        let client = gateway.client().ask(fields: asked.isEmpty ? "" : "Connection: upgrade\r\n" + asked)
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\n" + named)
        #expect(client.status == 502 && gateway.last.state == .cancelled)
    }

    @Test("any method may ask for another protocol, and the switch comes behind the body", arguments: ["PUT", "POST", "PURGE"])
    func switchBehindBody(method: String) throws {
        let gateway = try ScriptedWorker(Self.one)
        let fields = "Connection: upgrade\r\nUpgrade: a/1, Chat\r\nContent-Length: 8\r\n"
        let client = gateway.client().ask(method, fields: fields, first: "half", isLast: false)
        gateway.last.connect()
        #expect(gateway.last.head.hasSuffix("Upgrade: a/1, Chat\r\n"))
        client.send("half", isLast: true)
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        #expect(client.heard == [.tunnel])
        client.send("more")
        #expect(gateway.last.body == Array("halfhalfmore".utf8))
        let early = gateway.client().ask(method, fields: fields, first: "half", isLast: false)
        gateway.last.connect()
        gateway.last.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        #expect(early.status == 502 && gateway.last.state == .cancelled)
    }

    @Test("of an answer without a body no field speaks of one; of one to HEAD, and of 304, what GET would have got")
    func noBody() throws {
        let gateway = try ScriptedWorker(Self.one)
        for (method, status, field, keeps) in [
            ("GET", 204, "Content-Length: 5", false), ("HEAD", 204, "Content-Length: 5", false),
            ("GET", 204, "Transfer-Encoding: chunked", false), ("GET", 304, "Content-Length: 5", true),
            ("HEAD", 200, "Content-Length: 5", true), ("HEAD", 200, "Transfer-Encoding: chunked", false),
        ] {
            let client = gateway.client().ask(method)
            gateway.last.connect()
            gateway.last.answer(103, fields: field + "\r\n")
            #expect(!client.head.contains("Content-Length") && !client.head.contains("Transfer-Encoding"))
            gateway.last.answer(status, fields: field + "\r\n", isLast: true)
            #expect(client.head.contains("Content-Length: 5\r\n") == keeps && !client.head.contains("Transfer-Encoding"))
            #expect(client.heard.contains(.informed(103)) && client.heard.last == .finished)
        }
    }

    @Test("each answer before the answer begins the time for it anew, once the request is whole")
    func stillAtWork() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask("POST", fields: "Content-Length: 4\r\n", isLast: false)
        gateway.last.connect()
        gateway.last.answer(102, fields: "")
        #expect(gateway.last.expectations == 0)
        client.send("body", isLast: true)
        #expect(gateway.last.expectations == 1)
        for _ in 0..<20 { gateway.last.answer(102, fields: "") }
        gateway.last.answer(100, fields: "")
        #expect(gateway.last.expectations == 22)
        gateway.last.answer(200, fields: "Content-Length: 0\r\n", isLast: true)
        #expect(client.status == 200 && client.heard.filter { $0 == .informed(102) }.count == 21)
    }

    @Test("an early answer stands, and the rest of the request still goes on until it is over")
    func early() throws {
        let gateway = try ScriptedWorker(Self.one)
        let client = gateway.client().ask("POST", fields: "Content-Length: 100\r\n", first: "abc", isLast: false)
        gateway.last.connect()
        gateway.last.answer(200, "first")
        client.send("def")
        #expect(gateway.last.body == Array("abcdef".utf8))
        gateway.last.send("last", isLast: true)
        #expect(client.body == Array("firstlast".utf8) && client.heard.last == .finished)
    }

    @Test("a body that grows beyond its route's measure is refused, and the server is not left with half of it")
    func tooLarge() throws {
        let gateway = try ScriptedWorker(Self.one, tenants: "tenant acme { host acme.test; upstream app; max_body 10; }")
        let client = gateway.client().ask("POST", fields: "Transfer-Encoding: chunked\r\n", first: "12345", isLast: false)
        gateway.last.connect()
        let server = gateway.last
        client.send("678901", isLast: true)
        #expect(client.status == 413 && server.state == .cancelled && !server.hasAll)
        #expect(gateway.client().ask("POST", fields: "Content-Length: 11\r\n", isLast: false).status == 413)
    }
}
