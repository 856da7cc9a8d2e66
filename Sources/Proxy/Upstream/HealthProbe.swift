import Base
import Client
import Configuration
import Net

/// Asks one server, again and again: `GET path`, at each of its addresses. It is up while one of them is, and those that are
/// not get nothing. Each time has one deadline, for the look-up of its name and all that follows, and reads no further than
/// the status: whatever the server sends, it holds nobody up.
///
///     waiting ──due──► resolving ──► asking all addresses at once ──► waiting
///                 └──(addresses known)──┘
final class HealthProbe: Source {
    private enum Phase { case waiting, resolving, asking }

    private static let limits = AnswerLimits(heads: Limits.healthAnswerMax, fields: 200)

    let settings: HealthCheckSettings
    private let server: Server
    private let client: HTTPClient
    private var phase = Phase.waiting
    private var began: UInt64 = 0
    /// Of the addresses that the server has, or had at the last time.
    private var health: [SocketAddress: AddressHealth] = [:]
    /// Those that have not answered yet.
    private var calls: [SocketAddress: HTTPClient.Call] = [:]
    /// Before its name was ever found: of the server as a whole.
    private var nameless: AddressHealth
    /// Looks the name up; `resolved` is to be called when that is over.
    var resolve: (Server) -> Void = { _ in }
    var changed: (_ healthy: Bool, _ why: String) -> Void = { _, _ in }

    init(_ server: Server, _ settings: HealthCheckSettings, client: HTTPClient, loop: EventLoop, flow: Flow) {
        (self.server, self.settings, self.client) = (server, settings, client)
        nameless = AddressHealth(isUp: server.isHealthy.load(ordering: .relaxed))
        super.init(loop: loop, fd: -1, flow: flow)
    }

    func stop() {
        for call in calls.values { call.cancel() }
        calls = [:]
        // Nobody watches over them any more.
        server.setDown([])
        loop.close(self)
    }

    override func expired() {
        switch phase {
        // Many may be due at once, after a pause: each when it is its turn.
        case .waiting: loop.wake(self, [])
        case .resolving: lacksName("its name is not looked up in time")
        case .asking: break
        }
    }

    override func ready(_ events: Readiness) {
        guard case .waiting = phase else { return }
        began = loop.now
        if !server.addresses.isEmpty { return ask() }
        phase = .resolving
        loop.schedule(self, at: began + settings.timeout)
        resolve(server)
    }

    /// The name was looked up, for better or worse.
    func resolved() {
        if case .resolving = phase { ask() }
    }

    private func ask() {
        let addresses = server.addresses
        if addresses.isEmpty { return lacksName("its name does not resolve: \(server.failure ?? "no address")") }
        phase = .asking
        loop.schedule(self, at: .max)
        let isUp = server.isHealthy.load(ordering: .relaxed)
        var next: [SocketAddress: AddressHealth] = [:]
        for address in addresses { next[address] = health[address] ?? AddressHealth(isUp: isUp) }
        health = next
        var failed: [(SocketAddress, ClientFailure)] = []
        for address in health.keys {
            do throws(ClientFailure) { calls[address] = try call(address) } catch { failed.append((address, error)) }
        }
        for (address, failure) in failed { finished(address, HealthVerdict(failure)) }
    }

    private func call(_ address: SocketAddress) throws(ClientFailure) -> HTTPClient.Call {
        let request = HTTPClient.Request("GET", settings.path, authority: server.label, userAgent: "gateway-health")
        let destination = Destination(host: server.host, port: server.port, addresses: [address])
        return try client.call(request, at: destination, by: began + settings.timeout, limits: Self.limits) {
            [unowned self] call, event in
            switch event {
            case .head(let head): finished(address, HealthVerdict(status: head.status))
            case .failed(let failure): finished(address, HealthVerdict(failure))
            case .part, .room, .end: return
            }
            call.cancel()
        }
    }

    private func finished(_ address: SocketAddress, _ verdict: HealthVerdict) {
        if isClosed { return }
        calls[address] = nil
        health[address]?.record(verdict, settings)
        let down = health.filter { !$0.value.isUp }
        server.setDown(Set(down.keys))
        set(down.count < health.count, verdict, of: health.count)
        if calls.isEmpty { again() }
    }

    private func lacksName(_ why: String) {
        let verdict = HealthVerdict.failed(why)
        nameless.record(verdict, settings)
        set(nameless.isUp, verdict, of: 1)
        again()
    }

    private func again() {
        phase = .waiting
        loop.schedule(self, at: max(began + settings.interval, loop.now + 1_000_000))
    }

    private func set(_ healthy: Bool, _ verdict: HealthVerdict, of count: Int) {
        if server.isHealthy.load(ordering: .relaxed) == healthy { return }
        server.isHealthy.store(healthy, ordering: .relaxed)
        switch verdict {
        case .failed(let why): changed(healthy, count > 1 ? "\(why), the last of its \(count) addresses" : why)
        case .healthy, .unknown: changed(healthy, "it answers again")
        }
    }
}
