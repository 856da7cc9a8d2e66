import Base
import HTTP
import Metrics
import Quotas
import Tenancy

/// Admission, settlement and pace: where a request meets its tenant's limits.
extension Exchange {
    /// Takes what the request needs of every limit that applies, or refuses it: before anything else is done for it.
    func admit(_ tenant: Tenant, _ route: Route) -> Bool {
        guard let quota else { return true }
        admission = quota.admission(key: identity?.key, route: route.number)
        verdict = worker.enforcer.reserve(&admission!, monotonic: worker.loop.now, wall: worker.wall(worker.loop.now))
        switch verdict.reason {
        case nil: return true
        case .rate: return refuse(.rateLimited, "the tenant's request rate is used up")
        case .quota: return refuse(.quotaExceeded, "the tenant's quota is used up")
        case .concurrency: return refuse(.concurrencyLimited, "too many requests of the tenant are under way")
        }
    }

    /// Of a refusal by a limit, the seconds after which it lets such a request in.
    var quotaRetryAfter: UInt64? { verdict.isAdmitted ? nil : verdict.retryAfter }

    func writeQuotaFields(to out: inout ByteWriter) {
        guard let admission, admission.isOpen || !verdict.isAdmitted else { return }
        worker.enforcer.writeFields(admission, verdict, monotonic: worker.loop.now, to: &out)
    }

    func writeViolatedPolicies(to out: inout ByteWriter) {
        guard let admission, !verdict.isAdmitted else { return }
        worker.enforcer.writeViolated(admission, verdict, to: &out)
    }

    /// Gives back what is not charged and counts how it ended. Exactly once, whoever calls how often.
    func settleQuota(upstreamTime: UInt64?) {
        guard admission != nil else {
            if refusal != nil, let quota { worker.enforcer.refusedOtherwise(quota.meter) }
            return
        }
        guard admission!.isOpen else { return }
        let outcome = Outcome(
            status: Int(status), wasForwarded: sentAt > 0, isOwnAnswer: refusal != nil, requestBytes: requestBytes,
            responseBytes: responseBytes, upstreamMicroseconds: (upstreamTime ?? 0) / 1000, declaredCost: declaredCost)
        worker.enforcer.settle(&admission!, outcome, monotonic: worker.loop.now)
    }

    // MARK: Cost

    /// The field in which the upstream says what the request has cost: it is read, and not passed on. Its number among
    /// the fields of `worker.responseHead`, or nil.
    func readDeclaredCost(_ head: UnsafeRawBufferPointer) -> Int? {
        guard let name = admission?.costHeader, !name.isEmpty else { return nil }
        for i in 0..<worker.responseHead.fields.count {
            let field = worker.responseHead.fields[i]
            guard Self.spells(head[field.name], name) else { continue }
            declaredCost = Self.number(head[field.value])
            return i
        }
        return nil
    }

    private static func spells(_ text: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer) -> Bool {
        guard text.count == name.count else { return false }
        for i in 0..<name.count where ASCII.lowercase(text[i]) != name[i] { return false }
        return true
    }

    /// Digits only, at most what a request may cost; nil of anything else.
    private static func number(_ text: UnsafeRawBufferPointer) -> UInt64? {
        guard !text.isEmpty, text.count <= 18 else { return nil }
        var value: UInt64 = 0
        for byte in text {
            guard ASCII.isDigit(byte) else { return nil }
            value = value &* 10 &+ UInt64(byte &- 0x30)
        }
        return min(value, QuotaEnforcer.costMax)
    }

    // MARK: Pace

    /// Pays for bytes of the answer that were sent; the next ones are read when they are paid for.
    func pace(_ bytes: Int) {
        guard bytes > 0, let admission, admission.isPaced else { return }
        let wait = worker.enforcer.pace(admission, bytes: UInt64(bytes), monotonic: worker.loop.now)
        pacedUntil = wait > 0 ? worker.loop.now &+ wait : 0
    }

    var isPaced: Bool { pacedUntil > worker.loop.now }

    /// Bytes of the answer to read at once: of a slow tenant little, or its answers would come in fits.
    var answerReadSize: Int {
        guard let rate = admission?.bytesPerSecond else { return Limits.readSize }
        return Int(min(UInt64(Limits.readSize), max(rate / 16, 2048)))
    }
}

/// How long a connection whose requests are refused is not read: longer with each refusal in a row. A client that asks
/// again at once costs then no more than one that waits.
struct Hold {
    /// Refusals since the last request that was let in.
    private var refusals = 0
    /// Monotonic nanoseconds; zero is no hold.
    private(set) var until: UInt64 = 0

    private static let first: UInt64 = 2_000_000
    private static let longest: UInt64 = 1_000_000_000
    /// Where only the end of another request makes room, that may be any moment.
    private static let concurrency: UInt64 = 64_000_000

    mutating func admitted() { (refusals, until) = (0, 0) }
    mutating func end() { until = 0 }

    /// Never beyond `Retry-After`, and never so long that a bucket would run over meanwhile.
    mutating func refused(_ verdict: Verdict, now: UInt64) {
        refusals = min(refusals + 1, 16)
        let grown = Self.first << UInt64(refusals - 1)
        let most = verdict.reason == .concurrency ? Self.concurrency : min(verdict.refill / 2, Self.longest)
        let wait = min(grown, most, verdict.retryAfter &* 1_000_000_000)
        until = wait > 0 ? now &+ wait : 0
    }
}
