import Base
import Client
import Crypto
import Metrics
import Tenancy

/// What a request asks about itself.
final class DecisionQuestion {
    /// Of all that the answer may depend on.
    let digest: Digest256
    /// The request to the service.
    let wire: [UInt8]
    let rule: DecisionRule
    /// Keeps the rule.
    let view: WorkerView

    init(digest: Digest256, wire: [UInt8], rule: DecisionRule, view: WorkerView) {
        (self.digest, self.wire, self.rule, self.view) = (digest, wire, rule, view)
    }
}

/// Where one loop keeps a tenant's decisions: those that are known, those that are being asked for, and which service does not
/// answer. Nothing of it is another tenant's.
final class DecisionDesk {
    let worker: Worker
    /// The worker keeps it, as long as the process lives.
    let tenant: Uncounted<TenantState>
    private var cache = DecisionCache(sizeMax: Limits.decisionsSize)
    private var calls: [Digest256: DecisionCall] = [:]
    /// By the rule; of those that have failed.
    private var breakers: [Digest256: DecisionBreaker] = [:]
    /// Requests that wait.
    private var waiting = 0

    init(_ worker: Worker, _ tenant: Uncounted<TenantState>) { (self.worker, self.tenant) = (worker, tenant) }

    /// What is known already.
    func find(_ digest: Digest256) -> Decision? { cache.find(digest, now: worker.loop.now) }

    enum Asked {
        case known(Decision)
        case waits(DecisionCall, WaitingLine<Exchange>.Ticket)
        /// The service is left alone.
        case spared
        /// As many wait as may.
        case crowded
    }

    func ask(_ question: DecisionQuestion, for exchange: Exchange) -> Asked {
        if let known = find(question.digest) { return .known(known) }
        if waiting >= Limits.decisionWaitersMax { return .crowded }
        if let call = calls[question.digest] {
            waiting += 1
            return .waits(call, call.join(exchange))
        }
        if calls.count >= Limits.decisionCallsMax { return .crowded }
        let isTry: Bool
        switch breakers[Self.key(question.rule), default: DecisionBreaker()].leave(now: worker.loop.now) {
        case .asks: isTry = false
        case .tries: isTry = true
        case .no: return .spared
        }
        let call = DecisionCall(question, isTry: isTry, at: self)
        calls[question.digest] = call
        waiting += 1
        let ticket = call.join(exchange)
        call.begin()
        return .waits(call, ticket)
    }

    /// One waits no more, whatever for.
    func left() { waiting -= 1 }

    /// A call has its answer, or none. Who asks from now on does not get it from there.
    func ended(_ call: DecisionCall, _ decision: Decision?, why failure: @autoclosure () -> String) {
        calls[call.question.digest] = nil
        let (key, now) = (Self.key(call.question.rule), worker.loop.now)
        if let decision {
            count(.answered)
            if decision.until > now { cache.insert(decision, for: call.question.digest, now: now) }
            guard breakers.removeValue(forKey: key)?.isOpen == true else { return }
            tenant.follow { $0.metrics.follow { $0.openBreakers.add(-1) } }
            return tell(call.question.rule, "answers again")
        }
        count(.failed)
        var breaker = breakers[key] ?? DecisionBreaker()
        let wasOpen = breaker.isOpen
        let time = breaker.failed(asTry: call.isTry, now: now)
        breakers[key] = breaker
        guard let time, !wasOpen else { return }
        count(.opened)
        tenant.follow { $0.metrics.follow { $0.openBreakers.add(1) } }
        tell(call.question.rule, "does not decide: \(failure()); it is left alone for \(time / 1_000_000_000) s, and longer each time")
    }

    /// Nobody waits for a call any more.
    func abandoned(_ call: DecisionCall) {
        calls[call.question.digest] = nil
        if call.isTry { breakers[Self.key(call.question.rule)]?.abandoned() }
    }

    func count(_ event: DecisionEvent) { tenant.follow { $0.metrics.follow { $0.decided(event) } } }

    private static func key(_ rule: DecisionRule) -> Digest256 { unsafe SHA256.digest(rule.identity) }

    private func tell(_ rule: DecisionRule, _ what: String) {
        let tenant = tenant.follow { $0.id }
        worker.note("authorize of tenant \(tenant): \(rule.isSecure ? "https" : "http")://\(rule.host):\(rule.port) \(what)")
    }
}
