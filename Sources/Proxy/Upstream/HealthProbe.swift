import Base
import Client
import Configuration
import Net
import Synchronization

/// Asks one server, again and again: `GET path`. Each time has one deadline, for the look-up of its name and all that
/// follows, and reads no further than the status: whatever the server sends, it holds nobody up.
///
///     waiting ──due──► resolving ──► asking ──► waiting
///                 └──(address known)──┘
final class HealthProbe: Source {
    private enum Phase {
        case waiting
        case resolving
        case asking(HTTPClient.Call)
    }

    private static let limits = AnswerLimits(heads: Limits.healthAnswerMax, fields: 200)

    let settings: HealthCheckSettings
    private let server: Server
    private let client: HTTPClient
    private var phase = Phase.waiting
    private var began: UInt64 = 0
    private var failures = 0
    private var successes = 0
    /// Looks the name up; `resolved` is to be called when that is over.
    var resolve: (Server) -> Void = { _ in }
    var changed: (_ healthy: Bool, _ why: String) -> Void = { _, _ in }

    init(_ server: Server, _ settings: HealthCheckSettings, client: HTTPClient, loop: EventLoop, flow: Flow) {
        (self.server, self.settings, self.client) = (server, settings, client)
        super.init(loop: loop, fd: -1, flow: flow)
    }

    func stop() {
        if case .asking(let call) = phase { call.cancel() }
        loop.close(self)
    }

    override func expired() {
        switch phase {
        // Many may be due at once, after a pause: each when it is its turn.
        case .waiting: loop.wake(self, [])
        case .resolving: finished(.failed("its name is not looked up in time"))
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
        guard let address = server.addresses.first else {
            return finished(.failed("its name does not resolve: \(server.failure ?? "no address")"))
        }
        loop.schedule(self, at: .max)
        let request = HTTPClient.Request("GET", settings.path, authority: server.label, userAgent: "gateway-health")
        let destination = Destination(host: server.host, port: server.port, addresses: [address])
        do throws(ClientFailure) {
            let call = try client.call(request, at: destination, by: began + settings.timeout, limits: Self.limits) {
                [unowned self] call, event in
                switch event {
                case .head(let head): finished(HealthVerdict(status: head.status))
                case .failed(let failure): finished(HealthVerdict(failure))
                case .part, .room, .end: return
                }
                call.cancel()
            }
            phase = .asking(call)
        } catch { finished(HealthVerdict(error)) }
    }

    private func finished(_ verdict: HealthVerdict) {
        again()
        if isClosed { return }
        let healthy = server.isHealthy.load(ordering: .relaxed)
        switch verdict {
        case .failed(let why):
            (failures, successes) = (failures + 1, 0)
            if healthy, failures >= settings.fall { set(false, why) }
        case .healthy:
            (failures, successes) = (0, successes + 1)
            if !healthy, successes >= settings.rise { set(true, "it answers again") }
        case .unknown: break
        }
    }

    private func again() {
        phase = .waiting
        loop.schedule(self, at: max(began + settings.interval, loop.now + 1_000_000))
    }

    private func set(_ healthy: Bool, _ why: String) {
        server.isHealthy.store(healthy, ordering: .relaxed)
        changed(healthy, why)
    }
}
