import Base
import Glibc
import Net
import Synchronization
import Testing

@testable import Admin

/// A server of three connections on a loop of its own, whose handler answers `/now` and keeps all others waiting until
/// somebody asks for `/release`.
private final class Scene {
    private(set) var address = SocketAddress("127.0.0.1", port: 0)!
    private var clients: [Int32] = []

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

    deinit { for fd in clients { close(fd) } }

    /// A client that has sent this.
    func client(_ text: String = "") throws -> TimedSocket {
        let socket = try TimedSocket(address, connected: .max, deadline: Clock.monotonic() + 5_000_000_000)
        if !text.isEmpty { try socket.send(Array(text.utf8)) }
        return socket
    }

    static func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n" }
}

extension TimedSocket {
    /// What comes next; empty at the end.
    fileprivate func read() throws -> String {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 1)
        defer { room.deallocate() }
        return String(decoding: room[..<(try receive(into: room))], as: UTF8.self)
    }

    fileprivate func hasNews() -> Bool {
        var asked = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        return poll(&asked, 1, 100) > 0
    }
}

@Suite struct AdminServerTests {
    @Test("the silent one that has been there for the longest makes room, not one that is waited for")
    func oldest() throws {
        let scene = try Scene()
        let waiting = try scene.client(Scene.get("/later"))
        // Half a head is no request.
        let oldest = try scene.client("GET /now HTT")
        #expect(!oldest.hasNews())
        let younger = try scene.client()
        #expect(!younger.hasNews())
        #expect(try scene.client(Scene.get("/now")).read().hasSuffix("now"))
        #expect(try oldest.read().isEmpty)
        #expect(!younger.hasNews())
        #expect(try scene.client(Scene.get("/release")).read().hasSuffix("released"))
        #expect(try waiting.read().hasSuffix("late"))
    }

    @Test("where all are waited for, the newest is refused in words, whether it has sent something or not")
    func full() throws {
        let scene = try Scene()
        let waiting = try (0..<3).map { _ in try scene.client(Scene.get("/later")) }
        for client in waiting { #expect(!client.hasNews()) }
        for text in ["", Scene.get("/now"), Scene.get("/now") + String(repeating: "x", count: 100_000)] {
            let refused = try scene.client(text)
            let answer = try refused.read()
            #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("\r\nConnection: close\r\n"))
            #expect(try refused.read().isEmpty)
        }
        // Beyond those that are seen off, the rest are closed.
        let crowd = try (0..<100).map { _ in try scene.client() }
        for client in crowd { #expect(client.hasNews()) }
        #expect(!waiting[0].hasNews())
    }

    @Test("requests in a row are answered in a row, one a turn")
    func pipelined() throws {
        let scene = try Scene()
        let client = try scene.client(String(repeating: Scene.get("/now"), count: 500))
        var count = 0
        while count < 500 { count += try client.read().components(of: "HTTP/1.1 200") }
        #expect(count == 500 && !client.hasNews())
    }
}

extension String {
    fileprivate func components(of text: String) -> Int { split(separator: text, omittingEmptySubsequences: false).count - 1 }
}
