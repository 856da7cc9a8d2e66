import Base
import Glibc
import Net
import TestSupport
import Testing

@testable import Client

@Suite struct CallTests {
    @Test("one request, one answer, in every framing")
    func answers() throws {
        let answers = [
            length("hello"), "HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ]
        for answer in answers {
            let server = try Server { peer in
                #expect(peer.readHead() == "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: gateway\r\nConnection: close\r\n\r\n")
                peer.send(answer)
            }
            let told = try Scene().run(at: server.destination())
            #expect(told.head?.status == 200 && told.text == "hello" && told.isWhole)
        }
    }

    @Test("a thread that may wait has its answer, and leaves no descriptor behind")
    func waiting() throws {
        func ask(_ answer: String, host: String = "127.0.0.1") throws -> (Result<HTTPClient.Answer, ClientFailure>, UInt64) {
            let server = try Server { peer in
                _ = peer.readHead()
                peer.send(answer)
            }
            let began = Clock.monotonic()
            let result = Result { () throws(ClientFailure) in
                try HTTPClient.wait(
                    for: .init("GET", "/", authority: "localhost"), at: Destination(host: host, port: server.port), by: began + 5 * second,
                    limits: AnswerLimits(body: 100), resolver: Resolver())
            }
            return (result, Clock.monotonic() - began)
        }
        let (answer, taken) = try ask(length("hello", "Cache-Control: no-store\r\n"))
        #expect(try answer.get().body == Array("hello".utf8) && answer.get().head.first("cache-control") == "no-store")
        #expect(taken < 2 * second, "it ends with the answer")
        #expect(try ask(length("hello"), host: "localhost").0.get().status == 200)
        #expect(throws: ClientFailure.self) { try ask(length(String(repeating: "x", count: 101))).0.get() }
        let before = PeerListener()
        for _ in 0..<20 { _ = try ask(length("hello"), host: "localhost") }
        // Other tests of this process come and go; what leaks here would be forty at least.
        #expect(PeerListener().number - before.number < 35)
    }

    @Test("a server that dribbles, or never comes to an end, is late all the same")
    func late() throws {
        let scripts: [@Sendable (Peer) -> Void] = [
            { peer in while peer.send("H") { pause(20) } },
            { peer in
                peer.send("HTTP/1.1 200 OK\r\n\r\n")
                while peer.send("x") { pause(20) }
            },
            { peer in while peer.send("HTTP/1.1 200 OK\r\n") { pause(20) } },
            { peer in _ = (peer.receive(), peer.receive()) },
        ]
        for script in scripts {
            let server = try Server(script)
            let told = try Scene().run(at: server.destination(), within: 150 * millisecond)
            #expect(told.failure == "no answer in time" || told.failure?.hasPrefix("not a valid answer") == true)
            #expect(told.taken < 2 * second)
        }
    }

    @Test("an answer that floods is bounded, and its loop has time for others")
    func flood() throws {
        let server = try Server { peer in
            _ = peer.readHead()
            peer.send("HTTP/1.1 200 OK\r\n\r\n")
            let block = [UInt8](repeating: 0x78, count: 1 << 20)
            while peer.send(block) {}
        }
        let told = try Scene().run(at: server.destination(), limits: AnswerLimits(body: 8 << 20))
        #expect(told.failure == "the answer is too large" && told.body.count <= 8 << 20)
    }

    @Test("without a bound a flood ends at the deadline")
    func endless() throws {
        let server = try Server { peer in
            _ = peer.readHead()
            peer.send("HTTP/1.1 200 OK\r\n\r\n")
            let block = [UInt8](repeating: 0x78, count: 1 << 16)
            while peer.send(block) {}
        }
        let scene = try Scene()
        let timer = Alarm(scene.loop, every: 10 * millisecond)
        var parts = 0
        let began = Clock.monotonic()
        var failure: ClientFailure?
        _ = try scene.client.call(.init("GET", "/", authority: "a"), at: server.destination(), by: began + 200 * millisecond) { _, event in
            if case .part = event { parts += 1 }
            if case .failed(let why) = event {
                failure = why
                scene.loop.close(timer)
                scene.loop.stop()
            }
        }
        scene.loop.run()
        #expect(failure?.description == "no answer in time" && parts > 10)
        #expect(timer.count >= 3, "timers go on beside it")
    }

    @Test("who wants no more than the head is told no more")
    func headOnly() throws {
        let server = try Server { peer in
            _ = peer.readHead()
            peer.send(length("hello"))
            #expect(peer.receive() != nil)
        }
        let scene = try Scene()
        var events = 0
        _ = try scene.client.call(.init("GET", "/", authority: "a"), at: server.destination(), by: Clock.monotonic() + 5 * second) { call, event in
            events += 1
            if case .head(let head) = event { #expect(head.status == 200) }
            call.cancel()
            scene.loop.stop()
        }
        scene.loop.run()
        #expect(events == 1)
    }

    @Test("a call that is cancelled before its first turn asks nobody")
    func cancelled() throws {
        let scene = try Scene()
        let call = try scene.client.call(
            .init("GET", "/", authority: "a"), at: Destination(host: "localhost", port: 1), by: Clock.monotonic() + second
        ) { _, _ in Issue.record("told of a call that was cancelled") }
        call.cancel()
        let alarm = Alarm(scene.loop, every: 20 * millisecond, stops: true)
        scene.loop.run()
        scene.loop.close(alarm)
    }

    @Test("nobody there, and nobody any more, is said as it is")
    func failures() throws {
        let port = PeerListener().port
        let told = try Scene().run(at: Destination(host: "127.0.0.1", port: port))
        #expect(told.failure == "127.0.0.1:\(port): connect: Connection refused")
        let cut = try Server { peer in
            _ = peer.readHead()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
        }
        #expect(try Scene().run(at: cut.destination()).failure == "the answer was cut short")
        let reset = try Server { peer in
            _ = peer.readHead()
            peer.send("HTTP/1.1 200 OK\r\n\r\nhello")
            peer.resetOnClose()
        }
        #expect(try Scene().run(at: reset.destination()).failure == "recv: Connection reset by peer")
    }

    @Test("the next address has a turn when one fails")
    func addresses() throws {
        let dead = PeerListener().port
        let server = try Server { peer in
            _ = peer.readHead()
            peer.send(length("hello"))
        }
        var destination = server.destination()
        destination.addresses = [SocketAddress("127.0.0.1", port: dead)!, server.address]
        #expect(try Scene().run(at: destination).text == "hello")
    }

    @Test("the next address has a turn beside one that says nothing")
    func silence() throws {
        // Its queue of connections is full: the kernel drops any other.
        let listener = try Socket.listen(SocketAddress("127.0.0.1", port: 0)!, sharesPort: false, backlog: 0)
        let silent = try #require(Socket.localAddress(listener))
        let fillers = try (0..<4).map { _ in try Socket.connect(silent) }
        defer { for fd in fillers + [listener] { Glibc.close(fd) } }
        let server = try Server { peer in
            _ = peer.readHead()
            peer.send(length("hello"))
        }
        var destination = server.destination()
        destination.addresses = [silent, server.address]
        let began = Clock.monotonic()
        #expect(try Scene().run(at: destination).text == "hello")
        #expect(Clock.monotonic() - began < 2 * second)
    }

    // MARK: Requests with bodies

    @Test("a body of bytes, larger than any buffer")
    func upload() throws {
        let body = [UInt8](repeating: 0x61, count: 8 << 20)
        let server = try Server { peer in
            #expect(peer.readHead().contains("Content-Length: \(8 << 20)\r\n"))
            var count = 0
            while count < 8 << 20 { count += peer.receive()?.count ?? 8 << 20 }
            peer.send(length("\(count)"))
        }
        #expect(try Scene().run(.init("PUT", "/", authority: "a", body: .bytes(body)), at: server.destination()).text == "\(8 << 20)")
    }

    @Test("a body in parts, each when there is room for it")
    func parts() throws {
        let server = try Server { peer in
            #expect(peer.readHead().contains("Transfer-Encoding: chunked\r\n"))
            var text = ""
            while !text.hasSuffix("0\r\n\r\n") { text += peer.read() ?? "0\r\n\r\n" }
            peer.send(length(text))
        }
        let told = try Scene().run(.init("POST", "/", authority: "a", body: .parts), at: server.destination()) { call, event, told in
            guard case .room = event else { return }
            if told.rooms <= 3 { call.send(Array("part \(told.rooms)".utf8)) } else { call.finish() }
        }
        #expect(told.text == "6\r\npart 1\r\n6\r\npart 2\r\n6\r\npart 3\r\n0\r\n\r\n" && told.isWhole)
    }

    @Test("an answer ahead of the request's end is an answer")
    func early() throws {
        let server = try Server { peer in
            _ = peer.readHead()
            peer.send("HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n")
            while peer.receive()?.isEmpty == false {}
        }
        let body = [UInt8](repeating: 0x61, count: 32 << 20)
        let told = try Scene().run(.init("PUT", "/", authority: "a", body: .bytes(body)), at: server.destination())
        #expect(told.head?.status == 413 && told.isWhole)
    }

    @Test("who takes no parts holds the server up, not the memory")
    func pausing() throws {
        let sent = Counter()
        let server = try Server { peer in
            _ = peer.readHead()
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(64 << 20)\r\n\r\n")
            let block = [UInt8](repeating: 0x78, count: 1 << 20)
            for _ in 0..<64 where peer.send(block) { sent.add(1) }
        }
        let scene = try Scene()
        var (received, paused) = (0, 0)
        var alarm: Alarm?
        let call = try scene.client.call(.init("GET", "/", authority: "a"), at: server.destination(), by: Clock.monotonic() + 20 * second) { call, event in
            switch event {
            case .part(let part):
                if received == 0 {
                    call.pause()
                    alarm?.start()
                }
                received += part.count
            case .end, .failed: scene.loop.stop()
            default: break
            }
        }
        alarm = Alarm(scene.loop, every: 300 * millisecond, starts: false) { alarm in
            paused = received
            #expect(sent.value < 40, "the server was not held up")
            scene.loop.close(alarm)
            call.resume()
        }
        scene.loop.run()
        #expect(paused > 0 && paused <= Limits.clientReadSize && received == 64 << 20)
    }
}
