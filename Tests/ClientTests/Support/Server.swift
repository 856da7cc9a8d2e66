import Base
import Crypto
import Net
import TestSupport
import Testing

@testable import Client

let millisecond: UInt64 = 1_000_000
let second: UInt64 = 1_000_000_000

/// A server on this machine that does, with each connection in turn, what the next part of its script says, on a thread of
/// its own.
final class Server {
    private let listener = PeerListener()
    var port: UInt16 { listener.port }
    var address: SocketAddress { SocketAddress("127.0.0.1", port: port)! }

    init(_ script: (@Sendable (Peer) -> Void)...) throws {
        let (listener, script) = (listener, script)
        try Net.Thread("server") {
            for part in script {
                guard let peer = listener.accept() else { return }
                part(peer)
            }
        }.detach()
    }

    /// As `localhost`, at its address.
    func destination(_ authorities: ServerAuthorities? = nil, host: String = "localhost") -> Destination {
        Destination(host: host, port: port, addresses: [address], authorities: authorities)
    }
}

/// A loop, a client, and what was told of calls.
final class Scene {
    let loop: EventLoop
    let client: HTTPClient
    private let resolver: Resolver

    init(kept: Int = 0, resolver: Resolver = Resolver()) throws {
        loop = try EventLoop()
        self.resolver = resolver
        client = HTTPClient(loop: loop, resolver: resolver, kept: kept)
    }

    deinit {
        client.end()
        loop.letGo()
    }

    /// What comes of one call, and how long it took.
    struct Told {
        var head: HTTPClient.Head?
        var body: [UInt8] = []
        var rooms = 0
        var failure: String?
        var isWhole = false
        var taken: UInt64 = 0
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// Runs one call to its last event. A scene runs once.
    /// - Parameter also: sees each event, and may act.
    func run(
        _ request: HTTPClient.Request = .init("GET", "/", authority: "localhost"), at destination: Destination,
        within time: UInt64 = 5 * second, limits: AnswerLimits = AnswerLimits(body: 1 << 20),
        also: @escaping (HTTPClient.Call, HTTPClient.Event, Told) -> Void = { _, _, _ in }
    ) throws -> Told {
        var result = Told()
        try begin(request, at: destination, within: time, limits: limits, also: also) { [loop] in
            result = $0
            loop.stop()
        }
        loop.run()
        return result
    }

    /// Runs calls one after the other.
    func runAll(_ requests: [HTTPClient.Request], at destination: Destination) throws -> [Told] {
        var results: [Told] = []
        var rest = requests[...]
        func next() throws {
            guard let request = rest.popFirst() else { return loop.stop() }
            try begin(request, at: destination) {
                results.append($0)
                #expect(throws: Never.self) { try next() }
            }
        }
        try next()
        loop.run()
        return results
    }

    private func begin(
        _ request: HTTPClient.Request, at destination: Destination, within time: UInt64 = 5 * second,
        limits: AnswerLimits = AnswerLimits(body: 1 << 20),
        also: @escaping (HTTPClient.Call, HTTPClient.Event, Told) -> Void = { _, _, _ in }, done: @escaping (Told) -> Void
    ) throws {
        var told = Told()
        let began = Clock.monotonic()
        var isBegun = false
        _ = try client.call(request, at: destination, by: began + time, limits: limits) { call, event in
            #expect(isBegun && !told.isWhole && told.failure == nil, "told too early or too late")
            switch event {
            case .head(let head): told.head = head
            case .part(let part): told.body += Array(part)
            case .room: told.rooms += 1
            case .end: told.isWhole = true
            case .failed(let failure): told.failure = failure.description
            }
            told.taken = Clock.monotonic() - began
            also(call, event, told)
            if told.isWhole || told.failure != nil { done(told) }
        }
        isBegun = true
    }
}

func length(_ body: String, _ fields: String = "") -> String {
    "HTTP/1.1 200 OK\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}
