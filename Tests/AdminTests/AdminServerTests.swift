import Base
import Glibc
import Net
import TestSupport
import Testing

@testable import Admin

/// A server of three connections on a loop of its own, whose handler answers `/now` and keeps all others waiting until
/// somebody asks for `/release`.
private final class Scene {
    private(set) var address = SocketAddress("127.0.0.1", port: 0)!

    init() throws {
        let fd = try Socket.listen(address, sharesPort: false)
        address = try #require(Socket.localAddress(fd))
        try Thread("admin-server") {
            let loop = try! EventLoop()
            var kept: [(AdminResponse) -> Void] = []
            let server = AdminServer(loop: loop, connectionsMax: 3) { request, reply in
                switch request.path {
                case "/now": reply(.text("now"))
                case "/release":
                    for reply in kept { reply(.text("late")) }
                    kept = []
                    reply(.text("released"))
                default: kept.append(reply)
                }
            }
            server.listen(on: fd)
            withExtendedLifetime(server) { loop.run() }
        }.detach()
    }

    /// A client that has sent this.
    func client(_ text: String = "") -> Peer {
        let peer = Peer(port: address.port)
        peer.send(text)
        return peer
    }

    static func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n" }
}

@Suite struct AdminServerTests {
    @Test("the silent one that has been there for the longest makes room, not one that is waited for")
    func oldest() throws {
        let scene = try Scene()
        let waiting = scene.client(Scene.get("/later"))
        // Half a head is no request.
        let oldest = scene.client("GET /now HTT")
        #expect(!oldest.hasNews())
        let younger = scene.client()
        #expect(!younger.hasNews())
        #expect(scene.client(Scene.get("/now")).read()?.hasSuffix("now") == true)
        #expect(oldest.read() == "")
        #expect(!younger.hasNews())
        #expect(scene.client(Scene.get("/release")).read()?.hasSuffix("released") == true)
        #expect(waiting.read()?.hasSuffix("late") == true)
    }

    @Test("where all are waited for, the newest is refused in words, whether it has sent something or not")
    func full() throws {
        let scene = try Scene()
        let waiting = (0..<3).map { _ in scene.client(Scene.get("/later")) }
        for client in waiting { #expect(!client.hasNews()) }
        for text in ["", Scene.get("/now"), Scene.get("/now") + String(repeating: "x", count: 100_000)] {
            let refused = scene.client(text)
            let answer = try #require(refused.read())
            #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("\r\nConnection: close\r\n"))
            #expect(refused.read() == "")
        }
        // Beyond those that are seen off, the rest are closed.
        let crowd = (0..<100).map { _ in scene.client() }
        for client in crowd { #expect(client.hasNews()) }
        #expect(!waiting[0].hasNews())
    }

    @Test("requests in a row are answered in a row, one a turn")
    func pipelined() throws {
        let scene = try Scene()
        let client = scene.client(String(repeating: Scene.get("/now"), count: 500))
        var count = 0
        while count < 500 { count += try #require(client.read()).components(of: "HTTP/1.1 200") }
        #expect(count == 500 && !client.hasNews())
    }
}

extension String {
    fileprivate func components(of text: String) -> Int { split(separator: text, omittingEmptySubsequences: false).count - 1 }
}
