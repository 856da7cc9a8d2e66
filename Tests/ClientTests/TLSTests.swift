import Base
import Crypto
import Net
import TestSupport
import Testing

@testable import Client

@Suite struct TLSTests {
    @Test("a name that is vouched for: request and answer, both of many records")
    func trusted() throws {
        let identity = try Identity(["localhost"])
        let body = String(repeating: "x", count: 300_000)
        let server = try Server { peer in
            guard let tls = TLSPeer.accepting(peer, identity.listener) else { return }
            var text = ""
            while text.utf8.count < 100_000 {
                let more = tls.read()
                if more.isEmpty { break }
                text += more
            }
            #expect(text.hasPrefix("POST / HTTP/1.1\r\n"))
            tls.send(length(body))
            tls.finish()
        }
        let request = HTTPClient.Request("POST", "/", authority: "localhost", body: .bytes([UInt8](repeating: 0x61, count: 100_000)))
        let told = try Scene().run(request, at: server.destination(identity.authorities))
        #expect(told.isWhole && told.text == body, "\(told.failure ?? "")")
    }

    @Test("another name, an address instead of one, another authority: nothing is asked")
    func refused() throws {
        let identity = try Identity(["localhost"])
        let other = try Identity(["localhost"])
        func failure(_ authorities: ServerAuthorities, host: String) throws -> String {
            let server = try Server { peer in
                guard let tls = TLSPeer(peer, identity.listener) else { return }
                // It may learn of the refusal only after its own part of the handshake.
                if tls.shakeHands() { #expect(tls.read() == "") }
            }
            return try Scene().run(at: server.destination(authorities, host: host)).failure ?? "none"
        }
        #expect(try failure(identity.authorities, host: "example.test").contains("certificate is refused: hostname mismatch"))
        #expect(try failure(identity.authorities, host: "127.0.0.1").contains("certificate is refused: IP address mismatch"))
        #expect(try failure(other.authorities, host: "localhost").contains("certificate is refused: "))
    }

    @Test("an answer that ends with its connection needs an end by TLS")
    func truncated() throws {
        let identity = try Identity(["localhost"])
        for isProper in [true, false] {
            let server = try Server { peer in
                guard let tls = TLSPeer.accepting(peer, identity.listener) else { return }
                _ = tls.read()
                tls.send("HTTP/1.1 200 OK\r\n\r\nhello")
                if isProper { tls.finish() }
            }
            let told = try Scene().run(at: server.destination(identity.authorities))
            #expect(told.isWhole == isProper && told.text == "hello")
            #expect(isProper || told.failure == "the connection broke: unexpected eof while reading", "\(told.failure ?? "")")
        }
    }

    @Test("what is not TLS is said to be none")
    func noise() throws {
        let identity = try Identity(["localhost"])
        let server = try Server { peer in
            _ = peer.receive()
            peer.send("HTTP/1.1 400 Bad Request\r\n\r\n")
        }
        #expect(try Scene().run(at: server.destination(identity.authorities)).failure?.contains("no TLS handshake") == true)
        let silent = try Server { _ = $0.receive() }
        #expect(try Scene().run(at: silent.destination(identity.authorities)).failure?.contains("no TLS handshake: unexpected eof") == true)
    }

    @Test("a handshake that dribbles ends by the deadline, and leaves the next address its time")
    func dribble() throws {
        let identity = try Identity(["localhost"])
        let hello: [UInt8] = [0x16, 0x03, 0x03, 0x40, 0x00, 0x02, 0x00, 0x3F, 0xFC, 0x03, 0x03]
        let dribbling: @Sendable (Peer) -> Void = { peer in
            for byte in hello + [UInt8](repeating: 0, count: 1000) where peer.send([byte]) { pause(10) }
        }
        let alone = try Server(dribbling)
        let told = try Scene().run(at: alone.destination(identity.authorities), within: 200 * millisecond)
        #expect(told.failure == "\(alone.address): no answer in time" && told.taken < 2 * second)

        let first = try Server(dribbling)
        let good = try Server { peer in
            guard let tls = TLSPeer.accepting(peer, identity.listener) else { return }
            _ = tls.read()
            tls.send(length("hello"))
        }
        var destination = first.destination(identity.authorities)
        destination.addresses = [first.address, good.address]
        #expect(try Scene().run(at: destination, within: 4 * second).text == "hello")
    }

    @Test("a kept connection is for the same authorities only")
    func kept() throws {
        let (identity, other) = (try Identity(["localhost"]), try Identity(["localhost"]))
        let idle = IdleConnections(most: 1)
        let server = try Server { _ = $0.receive() }
        let loop = try EventLoop()
        let names = Names(Resolver(), loop: loop, flow: loop.commonFlow)
        let dialing = Dialing(to: server.destination(), by: Clock.monotonic() + 5 * second, names: names, loop: loop, flow: loop.commonFlow) {
            if case .success(let connection) = $0 { idle.keep(connection, for: server.destination(identity.authorities)) }
            loop.stop()
        }
        withExtendedLifetime(dialing) { loop.run() }
        #expect(idle.take(for: server.destination(other.authorities)) == nil)
        #expect(idle.take(for: server.destination()) == nil)
        let own = idle.take(for: server.destination(identity.authorities))
        #expect(own != nil)
        own?.close()
        loop.letGo()
    }
}
