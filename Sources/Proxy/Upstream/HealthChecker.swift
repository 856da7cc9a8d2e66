import Base
import Client
import Configuration
import Metrics
import Net

/// Active health checks, on the control thread's loop: asks every server of every upstream that has a `health_check`, and
/// takes servers out and back as the answers say. A server starts healthy: traffic need not wait for the first answer.
public final class HealthChecker {
    private let loop: EventLoop
    private let registry: MetricsRegistry
    private let resolver: Resolver
    /// Servers whose names were looked up for a check.
    private let resolved: Mailbox<Server>
    /// Its turns are its own: checks of ten thousand servers keep no signal and no reload waiting.
    private let flow = Flow(weight: 1)
    private let client: HTTPClient
    private var probes: [ObjectIdentifier: HealthProbe] = [:]
    /// Called on each change, for the log.
    public var changed: (_ upstream: String, _ server: String, _ healthy: Bool, _ why: String) -> Void = { _, _, _, _ in }

    public init(loop: EventLoop, registry: MetricsRegistry, resolver: Resolver) throws(SystemError) {
        (self.loop, self.registry, self.resolver, resolved) = (loop, registry, resolver, try Mailbox())
        client = HTTPClient(loop: loop, flow: flow, resolver: resolver)
        try resolved.deliver(on: loop, in: flow) { [unowned self] server in probes[ObjectIdentifier(server)]?.resolved() }
    }

    /// Checks what this configuration asks for from now on. Servers whose check has not changed keep their state.
    public func adopt(_ snapshot: Snapshot) {
        var wanted: [ObjectIdentifier: (server: Server, settings: HealthCheckSettings, terms: ConnectionTerms)] = [:]
        var labels: Set<ServerMetrics.Key> = []
        for upstream in snapshot.upstreams {
            for member in upstream.members where member.flag != .down {
                let server = member.server
                labels.insert(ServerMetrics.Key(upstream: server.upstream, server: server.configured))
                if let check = upstream.healthCheck { wanted[ObjectIdentifier(server)] = (server, check, upstream.terms) }
                // Healthy until a check says otherwise; without a check, always.
                if upstream.healthCheck == nil { server.set(healthy: true, at: loop.now) }
            }
        }
        var known: [ObjectIdentifier: [SocketAddress: AddressHealth]] = [:]
        for (id, probe) in probes where wanted[id]?.settings != probe.settings || wanted[id]?.terms != probe.terms {
            if wanted[id] != nil { known[id] = probe.health }
            probe.stop(isFollowed: wanted[id] != nil)
            probes[id] = nil
        }
        registry.keepHealth(of: labels)
        // Of an upstream that has another name now nothing is known under that.
        for (server, _, _) in wanted.values { registry.setHealthy(server.isHealthy, server: server.configured, of: server.upstream) }
        for (offset, (id, (server, settings, terms))) in wanted.enumerated() where probes[id] == nil {
            // Spread over the interval, so that ten thousand servers are not asked in the same millisecond.
            let delay = settings.interval / 1000 * UInt64(offset % 1000)
            let probe = HealthProbe(server, settings, terms, client: client, loop: loop, flow: flow, knowing: known[id] ?? [:])
            probe.resolve = { [resolver, resolved] server in
                server.resolve(with: resolver, isAwaited: false) { resolved.post(server) }
            }
            probe.changed = { [unowned self] healthy, why in
                registry.setHealthy(healthy, server: server.configured, of: server.upstream)
                changed(server.upstream, server.label, healthy, why)
            }
            probes[id] = probe
            loop.schedule(probe, at: loop.now + min(delay, settings.interval))
        }
    }

    public func stop() {
        for probe in probes.values { probe.stop() }
        probes = [:]
    }
}
