import Base
import Client
import Configuration
import Net

/// Asks one server, again and again: `GET path`, or gRPC's own question, at each of its addresses. It is up while one of them
/// is, and those that are not get nothing. Each time has one deadline, for the look-up of its name and all that follows, and
/// reads no further than it has to: whatever the server sends, it holds nobody up.
///
///     waiting ──due──► resolving ──► asking all addresses at once ──► waiting
///                 └──(addresses known)──┘
final class HealthProbe: Source {
    private enum Phase { case waiting, resolving, asking }

    private static let limits = AnswerLimits(heads: Limits.healthAnswerMax, fields: 200)

    let settings: HealthCheckSettings
    let terms: ConnectionTerms
    private let server: Server
    private let client: HTTPClient
    private var phase = Phase.waiting
    private var began: UInt64 = 0
    /// Of the addresses that the server has, or had at the last time.
    private(set) var health: [SocketAddress: AddressHealth] = [:]
    /// Those that have not answered yet.
    private var calls: [SocketAddress: () -> Void] = [:]
    /// Before its name was ever found: of the server as a whole.
    private var nameless: AddressHealth
    /// Looks the name up; `resolved` is to be called when that is over.
    var resolve: (Server) -> Void = { _ in }
    var changed: (_ healthy: Bool, _ why: String) -> Void = { _, _ in }

    /// - Parameter health: what another check has found out about its addresses.
    init(
        _ server: Server, _ settings: HealthCheckSettings, _ terms: ConnectionTerms, client: HTTPClient, loop: EventLoop, flow: Flow,
        knowing health: [SocketAddress: AddressHealth]
    ) {
        (self.server, self.settings, self.terms, self.client, self.health) = (server, settings, terms, client, health)
        nameless = AddressHealth(isUp: server.isHealthy)
        super.init(loop: loop, fd: -1, flow: flow)
    }

    /// - Parameter isFollowed: another check goes on with what it knows.
    func stop(isFollowed: Bool = false) {
        for cancel in calls.values { cancel() }
        calls = [:]
        // Nobody watches over them any more.
        if !isFollowed { server.setDown([]) }
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
        // Of one that is down nobody else asks, and another address may be what brings it back.
        if !server.isHealthy { server.lastUsed.store(loop.now, ordering: .relaxed) }
        if addresses.isEmpty { return lacksName("its name does not resolve: \(server.failure ?? "no address")") }
        phase = .asking
        loop.schedule(self, at: .max)
        let isUp = server.isHealthy
        var next: [SocketAddress: AddressHealth] = [:]
        for address in addresses { next[address] = health[address] ?? AddressHealth(isUp: isUp) }
        health = next
        var failed: [(SocketAddress, ClientFailure)] = []
        for address in health.keys {
            do throws(ClientFailure) { calls[address] = try call(address) } catch { failed.append((address, error)) }
        }
        for (address, failure) in failed { finished(address, HealthVerdict(failure)) }
    }

    /// - Returns: what ends it.
    private func call(_ address: SocketAddress) throws(ClientFailure) -> () -> Void {
        let host = terms.tls?.name ?? server.host
        var destination = Destination(host: host, port: server.port, addresses: [address], authorities: terms.tls?.authorities)
        // It asks for itself.
        if let version = terms.proxy { destination.preamble = ProxyHeader(ends: nil).bytes(version) }
        let request = settings.request(to: server.label)
        var judge = HealthJudge(settings)
        func take(_ verdict: HealthVerdict?, _ cancel: () -> Void) {
            guard let verdict else { return }
            finished(address, verdict)
            cancel()
        }
        if settings.speaksH2 {
            let call = try client.callH2(request, at: destination, by: began + settings.timeout, limits: Self.limits) { call, event in
                take(judge.take(event, trailers: call.trailers), call.cancel)
            }
            return call.cancel
        }
        let call = try client.call(request, at: destination, by: began + settings.timeout, limits: Self.limits) { call, event in
            take(judge.take(event), call.cancel)
        }
        return call.cancel
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
        if server.isHealthy == healthy { return }
        server.set(healthy: healthy, at: loop.now)
        switch verdict {
        case .failed(let why): changed(healthy, count > 1 ? "\(why), the last of its \(count) addresses" : why)
        case .healthy, .unknown: changed(healthy, "it answers again")
        }
    }
}
