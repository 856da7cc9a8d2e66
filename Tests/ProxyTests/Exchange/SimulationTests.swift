import Foundation
import TestSupport
import Testing

@testable import HTTP
@testable import Net
@testable import Proxy

/// Clients, servers, names and the clock do anything that they may do, in an order drawn from a seed, and each client must
/// hear its own answer, whole or broken off for all to see.
@Suite("Exchanges: anything in any order")
struct SimulationTests {
    /// `GATEWAY_SIMULATION=steps` or `steps:seed`: more of them, or one run again.
    private static let wanted = ProcessInfo.processInfo.environment["GATEWAY_SIMULATION"]?.split(separator: ":").map(String.init)
    private static let steps = wanted.flatMap { Int($0[0]) } ?? 1_000_000
    private static let seed = wanted.flatMap { $0.count > 1 ? UInt64($0[1]) : nil } ?? UInt64.random(in: 1...(1 << 32))

    @Test("a million steps")
    func anything() throws {
        print("simulation of \(Self.steps) steps, seed \(Self.seed)")
        let simulation = try Simulation(seed: Self.seed)
        for step in 0..<Self.steps {
            simulation.step()
            if step % 1000 == 0 { try simulation.check() }
            if !simulation.wrong.isEmpty { break }
        }
        try simulation.finish()
        #expect(simulation.wrong.isEmpty, "seed \(Self.seed): \(simulation.wrong.prefix(5))")
        // A simulation that reaches nothing finds nothing.
        for what in ["200", "204", "408", "413", "502", "503", "504", "tunnel", "broken off", "left", "retried", "waited"] {
            #expect(simulation.seen[what, default: 0] > Self.steps / 100_000, "\(what): \(simulation.seen)")
        }
        print("\(simulation.seen.sorted { $0.key < $1.key })")
    }
}

private final class Simulation {
    let gateway: ScriptedWorker
    private var random: SeededGenerator
    private var clients: [Asking] = []
    private var servers: [ScriptedUpstream] = []
    private var asked = 0
    private var pools: [ObjectIdentifier: ServerPool] = [:]
    /// A name was found, and who waits for it has not been called yet.
    private var isCalling = false
    /// How many have left at such a moment: they are called in vain, if it was that name.
    private var leftWhenCalled: UInt64 = 0
    var wrong: [String] = []
    var seen: [String: Int] = [:]

    /// A client with what it is to hear.
    private final class Asking {
        let end: ScriptedClient
        let token: String
        let kind: Kind
        var hasSentAll: Bool
        var looked = 0
        init(_ end: ScriptedClient, _ token: String, _ kind: Kind, hasSentAll: Bool) {
            (self.end, self.token, self.kind, self.hasSentAll) = (end, token, kind, hasSentAll)
        }
    }

    enum Kind: CaseIterable { case get, head, post, upload, upgrade }

    private static let hosts = ["one", "two", "named", "narrow", "small"]

    init(seed: UInt64) throws {
        random = SeededGenerator(state: seed)
        gateway = try ScriptedWorker(
            """
            limits { body_timeout 1s; }
            upstream one { server 10.0.0.1:80; }
            upstream two { server 10.0.0.2:80; server 10.0.0.3:80; balance least_requests; }
            upstream named { server app.test:80; connect_timeout 300ms; max_connections 4; }
            upstream narrow { server 10.0.0.4:80; server other.test:80; max_connections 1; connect_timeout 500ms; }
            """,
            tenants: """
                tenant one { host one.test; upstream one; }
                tenant two { host two.test; upstream two; }
                tenant named { host named.test; upstream named; concurrency 20; }
                tenant narrow { host narrow.test; upstream narrow; }
                tenant small { host small.test; upstream two; max_body 30; bandwidth 10k/s; }
                """)
        gateway.dials { [unowned self] _ in
            switch chance(20) {
            case 0: .refused
            case 1: .lack
            default: .connecting
            }
        }
    }

    private func chance(_ n: Int) -> Int { Int.random(in: 0..<n, using: &random) }
    private func some<T>(_ all: [T]) -> T? { all.isEmpty ? nil : all[chance(all.count)] }
    private func count(_ what: String) { seen[what, default: 0] += 1 }

    func step() {
        switch chance(24) {
        case 0..<3: if clients.count < 60 { ask() }
        case 3..<7: some(clients).map(send)
        case 7: some(clients)?.end.takes = false
        case 8..<10: some(clients)?.end.drain()
        case 10: if let client = some(clients), chance(4) == 0 { leave(client) }
        case 11..<21: serve()
        case 21: if chance(10) == 0 { find() }
        default:
            gateway.step(UInt64(chance(8) == 0 ? chance(2000) : chance(3)))
            isCalling = false
        }
        collect()
    }

    // MARK: Clients

    private func ask() {
        asked += 1
        let host = some(Self.hosts)!
        let token = "\(host)-\(asked)"
        let client = gateway.client()
        let kind = some(Kind.allCases)!
        let hasSentAll = kind != .upload
        let asking = Asking(client, token, kind, hasSentAll: hasSentAll)
        clients.append(asking)
        switch kind {
        case .get: client.ask("GET", "/\(token)", host: "\(host).test")
        case .head: client.ask("HEAD", "/\(token)", host: "\(host).test")
        case .post: client.ask("POST", "/\(token)", host: "\(host).test", fields: "Content-Length: 5\r\n", first: "whole")
        case .upload:
            client.ask(
                "POST", "/\(token)", host: "\(host).test", fields: "Transfer-Encoding: chunked\r\n",
                first: chance(2) == 0 ? "" : "part,", isLast: false)
        case .upgrade:
            client.ask("GET", "/\(token)", host: "\(host).test", fields: "Connection: upgrade\r\nUpgrade: chat\r\n")
        }
    }

    private func send(_ client: Asking) {
        guard let exchange = client.end.exchange, exchange.wantsRequest else { return }
        if case .tunnel = exchange.phase {
            return chance(10) == 0 ? client.end.send("", isLast: true) : client.end.send("up,")
        }
        if client.hasSentAll { return }
        client.hasSentAll = chance(4) == 0
        client.end.send(String(repeating: "part,", count: 1 + chance(5)), isLast: client.hasSentAll)
    }

    private func leave(_ client: Asking) {
        count("left")
        if isCalling, client.end.exchange?.phase == .waiting { leftWhenCalled += 1 }
        client.end.leave()
        clients.removeAll { $0 === client }
    }

    /// Who is over leaves, after what it has heard was held against what it is to hear.
    private func collect() {
        for server in gateway.takeDialed() {
            servers.append(server)
            pools[ObjectIdentifier(server.pool)] = server.pool
        }
        clients.removeAll { client in
            guard client.end.isOver else { return false }
            judge(client)
            return true
        }
        servers.removeAll { $0.state == .released || $0.state == .cancelled }
    }

    private func judge(_ client: Asking) {
        let heard = client.end.heard
        let body = String(decoding: client.end.body, as: UTF8.self)
        let endings = heard.filter { $0 == .finished || $0 == .brokenOff }.count
        let heads = heard.filter { if case .answered = $0 { true } else { $0 == .tunnel } }.count
        if endings != 1 || heads > 1 { wrong.append("\(client.token): \(heard)") }
        if heard.last == .brokenOff {
            count("broken off")
        } else if heads == 0 {
            wrong.append("\(client.token): over without an answer: \(heard)")
        }
        if heard.contains(.tunnel) { count("tunnel") }
        guard let status = client.end.status else { return own(body, client) }
        count("\(status)")
        if status < 300 { own(body, client) }
        if status == 200, heard.last == .finished, client.kind != .head, !body.hasSuffix("end of \(client.token).") {
            wrong.append("\(client.token): half an answer taken for a whole one: \(body)")
        }
        if client.kind == .head, !body.isEmpty { wrong.append("\(client.token): a body for HEAD") }
    }

    /// Nothing in it is another one's.
    private func own(_ body: String, _ client: Asking) {
        for piece in body.split(separator: ";") where !piece.hasSuffix("of \(client.token)") && !piece.hasSuffix("\(client.token).") {
            wrong.append("\(client.token) got \(piece)")
        }
    }

    // MARK: Servers

    private func serve() {
        guard let server = some(servers) else { return }
        if server.state == .connecting {
            if chance(12) == 0 { return server.refuse(chance(2) == 0 ? ECONNREFUSED : ETIMEDOUT) }
            server.connect()
            guard let exchange = server.exchange else { return wrong.append("a connection that nobody wanted") }
            let token = String(server.head.split(separator: " ")[1].dropFirst())
            if exchange.attempts.count > 1 { count("retried") }
            if !token.isEmpty, !server.head.contains("Host: \(token.split(separator: "-")[0]).test") { wrong.append(server.head) }
            return
        }
        guard let exchange = server.exchange else { return }
        // What the request says, not what anybody remembers: a head that went to the wrong server answers as its own.
        let token = String(server.head.split(separator: " ")[1].dropFirst())
        let isHead = server.head.hasPrefix("HEAD")
        if server.body.count > 0, !server.hasAll, chance(10) == 0 { server.takes.toggle() }
        if server.takes == false, chance(3) == 0 { return server.drain() }
        switch exchange.phase {
        case .forwarding:
            switch chance(30) {
            case 0: server.fail(.cut)
            case 1: server.fail(.malformed)
            case 2: server.fail(chance(2) == 0 ? .timedOut : .stale)
            case 3: server.answer(103, fields: "Link: </a>\r\n")
            case 4: server.answer(204, fields: "", isLast: true)
            case 5..<10:
                if server.head.contains("Upgrade: chat") {
                    server.answer(101, fields: "Connection: upgrade\r\nUpgrade: chat\r\n", "hello of \(token);")
                }
            case 10..<14 where isHead: server.answer(200, fields: "Content-Length: 100\r\n", isLast: true)
            case 10..<20 where !isHead:
                let isLast = chance(2) == 0
                server.answer(
                    200, fields: "Transfer-Encoding: chunked\r\n", isLast ? "end of \(token)." : "part of \(token);", isLast: isLast)
            default: break
            }
        case .answering where exchange.answerRoom > 0:
            switch chance(12) {
            case 0: server.fail(.cut)
            case 1: server.send("end of \(token).", isLast: true)
            case 2: server.send("end of \(token).", isLast: true)
            default: server.send("part of \(token);")
            }
        case .tunnel where exchange.answerRoom > 0:
            if chance(10) == 0 { server.send("", isLast: true) } else { server.send("down of \(token);") }
        default: break
        }
    }

    private func find() {
        let name = some(["app.test", "other.test"])!
        isCalling = true
        switch chance(4) {
        case 0: gateway.found(name)
        case 1: gateway.found(name, at: "10.0.1.\(1 + chance(4))", "fd00::\(1 + chance(4))", "10.0.2.1")
        default: gateway.found(name, at: "10.0.1.\(1 + chance(4))")
        }
        if clients.contains(where: { $0.end.exchange?.phase == .waiting }) { count("waited") }
    }

    // MARK: Invariants

    func check() throws {
        var underWay: [String: UInt64] = [:]
        for client in clients {
            guard let exchange = client.end.exchange else { continue }
            let tenant = String(client.token.split(separator: "-")[0])
            underWay[tenant, default: 0] += 1
            guard let upstream = exchange.upstream?.scripted else { continue }
            if (upstream as? ScriptedUpstream)?.exchange !== exchange { wrong.append("\(client.token): a link from one side") }
            if exchange.phase == .waiting { wrong.append("\(client.token): waits, and has a connection") }
        }
        for host in Self.hosts where gateway.underWay(host) != underWay[host, default: 0] {
            wrong.append("\(host): \(gateway.underWay(host)) under way, not \(underWay[host, default: 0])")
        }
        let carried = Set(servers.compactMap { $0.exchange.map(ObjectIdentifier.init) })
        if carried.count != servers.filter({ $0.exchange != nil }).count { wrong.append("one request on two connections") }
    }

    /// All leave; nothing stays.
    func finish() throws {
        for client in clients { client.end.leave() }
        clients = []
        collect()
        try check()
        if !servers.isEmpty { wrong.append("\(servers.count) connections stay with nobody") }
        for pool in pools.values where pool.inFlight != 0 || pool.open != 0 || pool.server.places.count != 0 {
            wrong.append("a server has \(pool.inFlight) requests and \(pool.open) connections left")
        }
        let stale = gateway.worker.metrics.staleEvents.value
        if stale > leftWhenCalled { wrong.append("\(stale) stale events, and \(leftWhenCalled) have left when they were called") }
    }
}
