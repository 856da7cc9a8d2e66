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
    /// By the rule; of those that have failed since they were last right.
    private var breakers: [Digest256: KnownBreaker] = [:]
    /// Requests that wait.
    private var waiting = 0
    /// Calls that have their answer, but not all of what follows it.
    private var lingering = 0

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
        switch leave(to: question.rule) {
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
    /// - Parameter isThere: the service works, whatever it has said.
    func ended(_ call: DecisionCall, _ decision: Decision?, isThere: Bool, why failure: @autoclosure () -> String) {
        calls[call.question.digest] = nil
        let (key, now) = (Self.key(call.question.rule), worker.loop.now)
        count(decision == nil ? .failed : .answered)
        if let decision, decision.until > now { cache.insert(decision, for: call.question.digest, now: now) }
        let known = breakers[key]
        if isThere {
            if known == nil { return }
            put(nil, for: key)
            if known?.breaker.isOpen == true { tell(call.question.rule, "answers again") }
            return
        }
        // Nobody may ask any more what was asked by a configuration before this one.
        if known == nil, call.question.view !== worker.view { return }
        var breaker = known?.breaker ?? DecisionBreaker()
        let wasOpen = breaker.isOpen
        let time = breaker.failed(asTry: call.isTry, now: now)
        put(KnownBreaker(breaker: breaker, isCurrent: known?.isCurrent ?? true), for: key)
        guard let time, !wasOpen else { return }
        count(.opened)
        tell(call.question.rule, "does not decide: \(failure()); it is left alone for \(time / 1_000_000_000) s, and longer each time")
    }

    /// Nobody waits for a call any more.
    func abandoned(_ call: DecisionCall) {
        calls[call.question.digest] = nil
        if call.isTry { breakers[Self.key(call.question.rule)]?.breaker.abandoned() }
    }

    // MARK: Services that do not answer

    /// What is known of a service's failures.
    private struct KnownBreaker {
        var breaker: DecisionBreaker
        /// This configuration has asked it.
        var isCurrent = true

        /// One of those that operators are told of.
        var isTold: Bool { isCurrent && breaker.isOpen }
    }

    private func leave(to rule: DecisionRule) -> DecisionBreaker.Leave {
        let key = Self.key(rule)
        guard var known = breakers[key] else { return .asks }
        known.isCurrent = true
        let leave = known.breaker.leave(now: worker.loop.now)
        put(known, for: key)
        return leave
    }

    private func put(_ known: KnownBreaker?, for key: Digest256) {
        let change = (known?.isTold == true ? 1 : 0) - (breakers[key]?.isTold == true ? 1 : 0)
        breakers[key] = known
        if change != 0 { tenant.follow { $0.metrics.follow { $0.openBreakers.add(change) } } }
    }

    /// Another configuration holds: of services that nobody asks by it nobody is told, and the one after it forgets them.
    /// - Parameter isOver: the tenant is no more, or nothing comes to this loop any more.
    func adopt(isOver: Bool) {
        for (key, known) in breakers {
            put(isOver || !known.isCurrent ? nil : KnownBreaker(breaker: known.breaker, isCurrent: false), for: key)
        }
        if isOver { cache = DecisionCache(sizeMax: Limits.decisionsSize) }
    }

    /// Whether one more may go on behind its answer, for as long as answers may take: no more of them than are kept.
    func mayLinger() -> Bool {
        if lingering >= Limits.decisionConnectionsKept { return false }
        lingering += 1
        return true
    }

    func lingerEnded() { lingering -= 1 }

    func count(_ event: DecisionEvent) { tenant.follow { $0.metrics.follow { $0.decided(event) } } }

    private static func key(_ rule: DecisionRule) -> Digest256 { unsafe SHA256.digest(rule.identity) }

    private func tell(_ rule: DecisionRule, _ what: String) {
        let tenant = tenant.follow { $0.id }
        worker.note("authorize of tenant \(tenant): \(rule.isSecure ? "https" : "http")://\(rule.host):\(rule.port) \(what)")
    }
}
