import Base
import Configuration
import Net
import Synchronization

/// Asks one server, again and again. Each time has one deadline, for the look-up of its name and all that follows.
///
///     waiting ──due──► resolving ──► asking ──► waiting
///                 └──(address known)──┘
final class HealthProbe: Source {
    private enum Phase {
        case waiting
        case resolving
        case asking(HealthAttempt)
    }

    let settings: HealthCheckSettings
    private let server: Server
    private var phase = Phase.waiting
    private var began: UInt64 = 0
    private var failures = 0
    private var successes = 0
    /// Looks the name up; `resolved` is to be called when that is over.
    var resolve: (Server) -> Void = { _ in }
    var changed: (_ healthy: Bool, _ why: String) -> Void = { _, _ in }

    init(_ server: Server, _ settings: HealthCheckSettings, loop: EventLoop, flow: Flow) {
        (self.server, self.settings) = (server, settings)
        super.init(loop: loop, fd: -1, flow: flow)
    }

    func stop() {
        if case .asking(let attempt) = phase { attempt.end() }
        loop.close(self)
    }

    override func expired() {
        switch phase {
        // Many may be due at once, after a pause: each when it is its turn.
        case .waiting: loop.wake(self, [])
        case .resolving: finished("its name is not looked up in time")
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
            return finished("its name does not resolve: \(server.failure ?? "no address")")
        }
        do throws(SystemError) {
            let fd = try Socket.connect(address, fromReserve: true)
            let attempt = HealthAttempt(loop: loop, flow: flow, fd: fd, host: server.label, path: settings.path) {
                [unowned self] in finished($0)
            }
            phase = .asking(attempt)
            loop.schedule(self, at: .max)
            guard loop.add(attempt) else {
                attempt.end()
                return again()
            }
            loop.schedule(attempt, at: began + settings.timeout)
        } catch {
            // What this machine lacks says nothing about the server.
            error.isLack ? again() : finished(error.description)
        }
    }

    /// nil for success.
    private func finished(_ failure: String?) {
        again()
        if isClosed { return }
        let healthy = server.isHealthy.load(ordering: .relaxed)
        if let failure {
            (failures, successes) = (failures + 1, 0)
            if healthy, failures >= settings.fall { set(false, failure) }
        } else {
            (failures, successes) = (0, successes + 1)
            if !healthy, successes >= settings.rise { set(true, "it answers again") }
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
