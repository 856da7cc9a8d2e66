import Base
import Configuration
import Glibc
import HTTP
import Metrics
import Net
import Synchronization

/// Active health checks, on the control thread's loop: asks every server of every upstream that has a `health_check`, and
/// takes servers out and back as the answers say. A server starts healthy: traffic need not wait for the first answer.
public final class HealthChecker {
    private let loop: EventLoop
    private let registry: MetricsRegistry
    private let resolver: Resolver
    private var probes: [ObjectIdentifier: HealthProbe] = [:]
    /// Called on each change, for the log.
    public var changed: (_ upstream: String, _ server: String, _ healthy: Bool, _ why: String) -> Void = { _, _, _, _ in }

    public init(loop: EventLoop, registry: MetricsRegistry, resolver: Resolver) {
        (self.loop, self.registry, self.resolver) = (loop, registry, resolver)
    }

    /// Checks what this configuration asks for from now on. Servers whose check has not changed keep their state.
    public func adopt(_ snapshot: Snapshot) {
        var wanted: [ObjectIdentifier: (Server, HealthCheckSettings)] = [:]
        var known: Set<ServerMetrics.Key> = []
        for upstream in snapshot.upstreams {
            for server in upstream.servers {
                known.insert(ServerMetrics.Key(upstream: server.upstream, server: server.configured))
                if let check = upstream.healthCheck { wanted[ObjectIdentifier(server)] = (server, check) }
                // Healthy until a check says otherwise; without a check, always.
                if upstream.healthCheck == nil { server.isHealthy.store(true, ordering: .relaxed) }
            }
        }
        for (id, probe) in probes where wanted[id]?.1 != probe.settings {
            probe.stop()
            probes[id] = nil
        }
        registry.keepHealth(of: known)
        for (offset, (id, (server, settings))) in wanted.enumerated() where probes[id] == nil {
            // Spread over the interval, so that ten thousand servers are not asked in the same millisecond.
            let delay = settings.interval / 1000 * UInt64(offset % 1000)
            let probe = HealthProbe(server, settings, loop: loop, resolver: resolver) { [unowned self] healthy, why in
                registry.setHealthy(healthy, server: server.configured, of: server.upstream)
                changed(server.upstream, server.label, healthy, why)
            }
            probes[id] = probe
            registry.setHealthy(server.isHealthy.load(ordering: .relaxed), server: server.configured, of: server.upstream)
            loop.schedule(probe, at: loop.now + min(delay, settings.interval))
        }
    }

    public func stop() {
        for probe in probes.values { probe.stop() }
        probes = [:]
    }
}

/// Asks one server, again and again.
private final class HealthProbe: Source {
    let settings: HealthCheckSettings
    private let server: Server
    private let resolver: Resolver
    private let changed: (Bool, String) -> Void
    private var attempt: HealthAttempt?
    private var began: UInt64 = 0
    private var failures = 0
    private var successes = 0

    init(
        _ server: Server, _ settings: HealthCheckSettings, loop: EventLoop, resolver: Resolver,
        changed: @escaping (Bool, String) -> Void
    ) {
        (self.server, self.settings, self.resolver, self.changed) = (server, settings, resolver, changed)
        super.init(loop: loop, fd: -1, flow: loop.commonFlow)
    }

    func stop() {
        attempt?.end()
        loop.close(self)
    }

    override func expired() {
        began = loop.now
        guard let address = server.addresses.first else {
            server.resolve(with: resolver)
            return finished("its name does not resolve")
        }
        do {
            let fd = try Socket.connect(address)
            let attempt = HealthAttempt(loop: loop, fd: fd, host: server.label, path: settings.path) { [unowned self] in finished($0) }
            self.attempt = attempt
            guard loop.add(attempt) else {
                attempt.end()
                return finished("it can't be watched: \(SystemError("epoll_ctl"))")
            }
            loop.schedule(attempt, at: loop.now + settings.timeout)
        } catch {
            finished(error.description)
        }
    }

    /// nil for success.
    private func finished(_ failure: String?) {
        attempt = nil
        if isClosed { return }
        loop.schedule(self, at: max(began + settings.interval, loop.now + 1_000_000))
        let healthy = server.isHealthy.load(ordering: .relaxed)
        if let failure {
            (failures, successes) = (failures + 1, 0)
            if healthy, failures >= settings.fall { set(false, failure) }
        } else {
            (failures, successes) = (0, successes + 1)
            if !healthy, successes >= settings.rise { set(true, "it answers again") }
        }
    }

    private func set(_ healthy: Bool, _ why: String) {
        server.isHealthy.store(healthy, ordering: .relaxed)
        changed(healthy, why)
    }
}

/// One question: `GET path`, and any 2xx or 3xx is a yes.
private final class HealthAttempt: Source {
    private let host: String
    private let path: String
    private let done: (String?) -> Void
    private var isSent = false
    private var input: [UInt8] = []
    private var head = ResponseHead(maxFields: 200)
    private var scanned = 0

    init(loop: EventLoop, fd: Int32, host: String, path: String, done: @escaping (String?) -> Void) {
        (self.host, self.path, self.done) = (host, path, done)
        super.init(loop: loop, fd: fd, flow: loop.commonFlow)
    }

    func end() { loop.close(self) }

    private func finish(_ failure: String?) {
        if isClosed { return }
        end()
        done(failure)
    }

    override func expired() { finish("no answer in time") }

    override func ready(_ events: Readiness) {
        if !isSent {
            let error = Socket.error(fd)
            if error != 0 { return finish(String(cString: strerror(error))) }
            guard events.contains(.writable) else { return }
            isSent = true
            let request = "GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUser-Agent: gateway-health\r\nConnection: close\r\n\r\n"
            _ = send(fd, request, request.utf8.count, Int32(MSG_NOSIGNAL))
        }
        while !isClosed {
            var room = [UInt8](repeating: 0, count: 4096)
            let count = recv(fd, &room, room.count, 0)
            if count < 0 {
                if errno == EAGAIN || errno == EINTR { return }
                return finish(String(cString: strerror(errno)))
            }
            if count == 0 { return finish("closed without an answer") }
            input += room[..<count]
            let outcome = input.withUnsafeBytes { bytes in
                head.parse(bytes, from: &scanned, requestMethod: .get, limits: ParseLimits(maxHeadSize: 16 << 10, maxFields: 200))
            }
            switch outcome {
            case .incomplete: continue
            case .refused: return finish("its answer is not valid HTTP")
            case .complete:
                return finish((200..<400).contains(head.status) ? nil : "it answers \(head.status)")
            }
        }
    }
}
