import Configuration

extension Upstream {
    /// Ejects that server, unless too many are out already, or nobody would be left. Any loop may call it, whatever the
    /// others do: who comes while another one decides leaves it at that, and the next failure decides.
    func eject(_ server: Server, _ why: ServerCondition.Why, at now: UInt64) {
        guard let eject, choices.count > 1, server.news.beginDeciding() else { return }
        defer { server.news.endDeciding() }
        if server.condition.isEjected(at: now) { return }
        var (out, left) = (0, 0)
        for choice in choices where choice.server !== server {
            if choice.server.condition.isEjected(at: now) { out += 1 } else if !choice.server.condition.isDown { left += 1 }
        }
        guard left > 0, out < max(1, choices.count * eject.maxShare / 100) else { return }
        server.eject(why, for: eject.time, at: now)
    }

    /// What an attempt at one of the servers has come to says something about it.
    /// - Parameters:
    ///   - tenant: the tag of the request's tenant.
    ///   - now: monotonic nanoseconds.
    func judge(_ outcome: AttemptOutcome, of server: Server, for tenant: UInt32, at now: UInt64) {
        guard let eject else { return }
        let verdict: FailureRun.Verdict
        switch outcome {
        case .answered(let status) where status < 500: return server.condition.worked()
        case .stale, .abandoned: return
        case .unreachable, .nameless: verdict = server.condition.failed(nil, of: eject.failures)
        case .answered, .timedOut, .cut, .malformed:
            verdict = server.condition.failed(server.isShared ? tenant : nil, of: eject.failures)
        }
        switch verdict {
        case .none: break
        case .badForTenant: server.condition.leaveOut(for: tenant, until: now + eject.time)
        case .badForAll:
            if case .answered(let status) = outcome { return self.eject(server, .failures(status: status), at: now) }
            self.eject(server, .failures(status: nil), at: now)
        }
    }
}
