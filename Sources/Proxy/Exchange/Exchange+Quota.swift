import Base
import HTTP
import Metrics
import Quotas
import Tenancy

/// Admission, settlement and pace: where a request meets its tenant's limits.
extension Exchange {
    /// Takes what the request needs of every limit that applies, or refuses it: before anything else is done for it.
    func reserve(_ route: Route) throws(Halt) {
        guard let rules = resolution.rules else { return }
        if worker.shedding.isOn, resolution.tenant?.follow({ worker.shedding.refuses($0) }) == true { throw shed() }
        bill.admission = rules.admission(key: resolution.identity?.key, route: route.number)
        let now = worker.loop.now
        bill.verdict = worker.enforcer.reserve(&bill.admission!, monotonic: now, wall: worker.calendar(now))
        switch bill.verdict.reason {
        case nil: resolution.tenant?.follow { worker.shedding.began($0) }
        case .rate: throw refuse(.rateLimited, "the tenant's request rate is used up")
        case .quota: throw refuse(.quotaExceeded, "the tenant's quota is used up")
        case .concurrency: throw refuse(.concurrencyLimited, "too many requests of the tenant are under way")
        }
    }

    /// Refused for the sake of all others: its tenant has more than its share.
    private func shed() -> Halt {
        let cause = worker.overloadCause
        resolution.tenant?.follow { $0.metrics.follow { $0.shed(Shed(cause)) } }
        return refuse(.overloaded, "the gateway is overloaded")
    }

    /// Of a refusal by a limit, the seconds after which it lets such a request in.
    var quotaRetryAfter: UInt64? { bill.verdict.isAdmitted ? nil : bill.verdict.retryAfter }

    func writeQuotaFields(to out: inout ByteWriter) {
        guard let admission = bill.admission, admission.isOpen || !bill.verdict.isAdmitted else { return }
        worker.enforcer.writeFields(admission, bill.verdict, monotonic: worker.loop.now, to: &out)
    }

    func writeViolatedPolicies(to out: inout ByteWriter) {
        if let violated = bill.violated {
            out.append(",\"violated-policies\":[\"")
            out.append(violated.name)
            return out.append("\"]")
        }
        guard let admission = bill.admission, !bill.verdict.isAdmitted else { return }
        worker.enforcer.writeViolated(admission, bill.verdict, to: &out)
    }

    /// Gives back what is not charged and counts how it ended. Exactly once, whoever calls how often.
    func settleQuota(upstreamTime: UInt64?) {
        guard bill.admission != nil else {
            if answer.refusal != nil, let rules = resolution.rules { worker.enforcer.refusedOtherwise(rules.meter) }
            return
        }
        guard bill.admission!.isOpen else { return }
        let outcome = Outcome(
            status: Int(answer.status), wasForwarded: attempts.sentAt > 0, isOwnAnswer: answer.refusal != nil,
            requestBytes: request.bytes, responseBytes: answer.bytes, upstreamMicroseconds: (upstreamTime ?? 0) / 1000,
            declaredCost: bill.declaredCost)
        resolution.tenant?.follow { worker.shedding.ended($0) }
        worker.enforcer.settle(&bill.admission!, outcome, monotonic: worker.loop.now)
    }

    // MARK: Cost

    /// Reads the field in which the upstream says what the request has cost; of two the first counts. Its name, where
    /// such fields are there: none of them is passed on.
    func readDeclaredCost(_ head: borrowing ResponseHead) -> UnsafeRawBufferPointer? {
        // The name is the quota's, which the admission keeps.
        guard let name = unsafe bill.admission?.costHeader, unsafe !name.isEmpty else { return nil }
        for i in 0..<head.fields.count {
            let field = head.fields[i]
            guard unsafe Self.spells(head[field.name], name) else { continue }
            bill.declaredCost = unsafe Self.number(head[field.value])
            return unsafe name
        }
        return nil
    }

    static func spells(_ text: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer) -> Bool {
        guard text.count == name.count else { return false }
        for i in 0..<name.count where unsafe ASCII.lowercase(text[i]) != name[i] { return false }
        return true
    }

    /// Digits only, at most what a request may cost; nil of anything else.
    private static func number(_ text: UnsafeRawBufferPointer) -> UInt64? {
        guard unsafe !text.isEmpty, text.count <= 18 else { return nil }
        var value: UInt64 = 0
        for i in 0..<text.count {
            guard unsafe ASCII.isDigit(text[i]) else { return nil }
            value = unsafe value &* 10 &+ UInt64(text[i] &- 0x30)
        }
        return min(value, QuotaEnforcer.costMax)
    }

    // MARK: Pace

    /// Pays for bytes of the answer that were sent; the next ones are read when they are paid for.
    func pace(_ bytes: Int) {
        guard bytes > 0, let admission = bill.admission, admission.isPaced else { return }
        let wait = worker.enforcer.pace(admission, bytes: UInt64(bytes), monotonic: worker.loop.now)
        bill.pacedUntil = wait > 0 ? worker.loop.now &+ wait : 0
    }

    var isPaced: Bool { bill.pacedUntil > worker.loop.now }

    /// Bytes of the answer that may be read now: what the client takes, and of a slow tenant little at once, or its answers
    /// would come in fits. Zero while there is nowhere to put them.
    var answerRoom: Int {
        if isPaced { return 0 }
        guard let rate = bill.admission?.bytesPerSecond else { return client.room }
        return min(client.room, Int(min(UInt64(Limits.readSize), max(rate / 16, 2048))))
    }
}
