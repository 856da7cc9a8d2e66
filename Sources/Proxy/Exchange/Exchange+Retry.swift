import Base
import Configuration
import Metrics

/// Sending again what has failed, as the upstream's `retry` says. What was surely not sent goes elsewhere without this: see
/// `UpstreamFailure` and `Dial`.
extension Exchange {
    private var retry: RetrySettings {
        // Nobody waits for what a copy comes to.
        if bill.isFree { return .never }
        return resolution.balancer?.follow { $0.retry } ?? RetrySettings()
    }

    /// How often it was sent, or could not be.
    private var tries: Int { attempts.sendings + Int(attempts.vain) }

    /// All of it is in memory, and a second arrival is wanted, whatever the method.
    var mayArriveTwice: Bool { request.isDone && !request.wantsUpgrade && retry.causes.contains(.nonIdempotent) }

    /// What was kept of its body is needed though its connection is a fresh one.
    var keepsBody: Bool { retry.hasBodies }

    /// It is kept for the case that no server can be connected to.
    var isKeptForConnecting: Bool { retry.causes.contains(.connect) }

    var circumstances: UpstreamFailure.Circumstances {
        UpstreamFailure.Circumstances(
            hasAnswer: phase.hasAnswer, sendings: tries, refusals: attempts.refusals, isKept: isKept,
            isRepeatable: request.isRepeatable, hasBody: request.hasBody, retry: retry,
            isWhole: request.isDone && !request.wantsUpgrade)
    }

    /// The answer is as good as none and there is to be another one, so that nothing of it goes to the client. Where no retry is
    /// left, it does.
    /// - Parameter isWhole: there is no more of it.
    func isSentAgain(insteadOf status: UInt16, isWhole: Bool) -> Bool {
        let cause = RetrySettings.Causes.status(status)
        guard phase == .forwarding, !cause.isEmpty, circumstances.maySendAgain(for: cause), takeRetry() else { return false }
        dropUpstream(as: .answered(status), keeps: isWhole)
        goAgain(isAtOnce: false)
        return true
    }

    /// No server could be connected to. Nothing was sent, so that whatever it is may try again.
    func connectsAgain() -> Bool {
        if attempts.isRetry { judgeRetry(.unreachable) }
        attempts.vain += 1
        guard retry.causes.contains(.connect), isKept, tries < retry.tries, takeRetry() else { return false }
        attempts.dialsUntil = 0
        tried.removeAll(keepingCapacity: true)
        goAgain(isAtOnce: false)
        return true
    }

    /// Takes a retry of the upstream's budget, if there is one left.
    func takeRetry() -> Bool {
        resolution.balancer?.follow { balancer in
            if balancer.mayRetry(for: tenantTag) { return true }
            balancer.metrics.follow { $0.retried(.budget) }
            return false
        } ?? false
    }

    /// Sends it again when it is time.
    /// - Parameter isAtOnce: without a turn of its own, where it need not wait.
    func goAgain(isAtOnce: Bool) {
        attempts.isRetry = true
        attempts.retries += 1
        waitsUntil = .max
        waits(.pause, atMost: retry.pause(before: Int(attempts.retries), random: worker.random.next()))
        if isAtOnce, waitsUntil <= worker.loop.now { endPause() }
    }

    /// The pause before a retry is over.
    func endPause() {
        guard case .pause? = line, let balancer = resolution.balancer?.counted else { return }
        (phase, line, waitsUntil) = (.forwarding, nil, .max)
        acquired(balancer.acquire(for: self, avoiding: attempts.pool))
    }

    /// What a retry has come to; of one that was not processed the next sending tells.
    func judgeRetry(_ outcome: AttemptOutcome) {
        let isGood: Bool
        switch outcome {
        case .answered(let status): isGood = retry.causes.isDisjoint(with: .status(status))
        case .abandoned, .stale: return
        case .unreachable, .nameless, .timedOut, .cut, .malformed: isGood = false
        }
        attempts.isRetry = false
        resolution.balancer?.follow { $0.metrics.follow { $0.retried(isGood ? .ok : .failed) } }
    }
}

extension RetrySettings {
    /// Nanoseconds to wait before a retry: the backoff, doubled with each one, and of that a half to the whole, so that requests
    /// that have failed together do not come again together.
    /// - Parameter number: from one on.
    func pause(before number: Int, random: UInt64) -> UInt64 {
        let whole = min(backoff << UInt64(min(max(number - 1, 0), 8)), max(backoff, Self.longest))
        return whole - random % (whole / 2 + 1)
    }

    /// Once, whatever comes of it.
    fileprivate static var never: RetrySettings {
        var settings = RetrySettings()
        (settings.tries, settings.causes) = (1, [])
        return settings
    }

    /// Doubling ends there: clients wait.
    private static let longest: UInt64 = 5_000_000_000
}
