import TestSupport
import Testing

@testable import Client

@Suite struct KeptConnectionTests {
    private let get = HTTPClient.Request("GET", "/", authority: "a", keepsConnection: true)
    private let post = HTTPClient.Request("POST", "/", authority: "a", body: .bytes([0x61]), keepsConnection: true)

    private static func serve(_ peer: Peer, _ times: Int, _ name: String) {
        for number in 1...times {
            if peer.readHead().isEmpty { return }
            peer.send(length("\(name)\(number)"))
        }
    }

    @Test("a connection serves one request after the other, where both want that")
    func kept() throws {
        let server = try Server({ Self.serve($0, 3, "a") }, { Self.serve($0, 1, "b") })
        let closing = HTTPClient.Request("GET", "/", authority: "a")
        // Whoever does not keep his own does not get another one's either.
        #expect(try Scene(kept: 2).runAll([get, get, get, closing], at: server.destination()).map(\.text) == ["a1", "a2", "a3", "b1"])
    }

    @Test("none is kept where none may be")
    func none() throws {
        let server = try Server({ Self.serve($0, 2, "a") }, { Self.serve($0, 2, "b") })
        #expect(try Scene().runAll([get, get], at: server.destination()).map(\.text) == ["a1", "b1"])
    }

    @Test("one that the server has closed meanwhile costs no answer, unless the request may have been carried out")
    func closed() throws {
        let script: @Sendable (Peer) -> Void = { peer in
            Self.serve(peer, 1, "a")
            // The next request is read, and not answered.
            _ = peer.readHead()
        }
        let again = try Server(script, { Self.serve($0, 1, "b") })
        #expect(try Scene(kept: 1).runAll([get, get], at: again.destination()).map(\.text) == ["a1", "b1"])
        let once = try Server(script)
        let told = try Scene(kept: 1).runAll([get, post], at: once.destination())
        #expect(told[0].text == "a1" && told[1].failure != nil)
    }

    @Test("one that says more than it was asked is not used again")
    func surplus() throws {
        for extra in ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "\r\n"] {
            let server = try Server(
                { peer in
                    _ = peer.readHead()
                    peer.send(length("a1") + extra)
                    _ = peer.receive()
                }, { Self.serve($0, 1, "b") })
            #expect(try Scene(kept: 1).runAll([get, get], at: server.destination()).map(\.text) == ["a1", "b1"])
        }
    }

    @Test("after an answer that ends with its connection, or says so, there is another one")
    func lastOnes() throws {
        for answer in ["HTTP/1.1 200 OK\r\n\r\na1", length("a1", "Connection: close\r\n"), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\na1"] {
            let server = try Server(
                { peer in
                    _ = peer.readHead()
                    peer.send(answer)
                }, { Self.serve($0, 1, "b") })
            #expect(try Scene(kept: 1).runAll([get, get], at: server.destination()).map(\.text) == ["a1", "b1"])
        }
    }
}
