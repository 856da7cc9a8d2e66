import Base
import Metrics

/// How an attempt at a server ends without an answer.
enum UpstreamFailure {
    /// A kept connection has ended before a byte of an answer.
    case stale
    /// It has surely not processed the request (RFC 9113 section 8.7).
    case refused
    /// It has closed or reset the connection, before or in the middle of its answer.
    case cut
    /// What it sends is not valid HTTP, or not what was asked for.
    case malformed
    /// Nothing came for as long as an answer may take.
    case timedOut
}

extension UpstreamFailure {
    /// What is known of the request when its attempt fails.
    struct Circumstances {
        /// The answer, or a tunnel, has begun.
        var hasAnswer: Bool
        /// How often it was sent.
        var sendings: Int
        /// How often it was surely not processed.
        var refusals = 0
        /// The head is there to be sent once more, with all that was read of the body.
        var isKept: Bool
        /// A second arrival does no harm, and nothing of it is gone.
        var isRepeatable: Bool
        var hasBody: Bool
    }

    enum Consequence: Equatable {
        /// On a fresh connection. It is no retry: nothing has been sent that anybody has read.
        case sendAfresh
        /// To any server, the same one among them: this was no attempt.
        case sendElsewhere
        /// If the upstream's retry budget bears it; otherwise the refusal.
        case retry
        case refuse
        case breakOff
    }

    /// What becomes of the request.
    ///
    ///                  before an answer                                               in an answer
    ///     stale        send afresh, if it may be sent again with all of its body      (can't be)
    ///     refused      send elsewhere, whatever it is, while all of it is there       (can't be)
    ///     cut          retry, if it may be sent again and has no body                 break off
    ///     malformed    refuse: the server has it, and would answer the same           break off
    ///     timedOut     refuse: the client has waited long enough                      break off
    ///
    /// What can't be connected to is no failure of this kind: see `Dial`.
    func consequence(_ now: Circumstances) -> Consequence {
        if now.hasAnswer { return .breakOff }
        if self == .refused { return now.isKept && now.refusals < Limits.refusalsMax ? .sendElsewhere : .refuse }
        guard now.isKept, now.isRepeatable else { return .refuse }
        switch self {
        case .refused: return .refuse
        case .stale: return now.refusals < Limits.refusalsMax ? .sendAfresh : .refuse
        case .cut: return !now.hasBody && now.sendings < Self.sendingsMax ? .retry : .refuse
        case .malformed, .timedOut: return .refuse
        }
    }

    /// A request is sent at most so often.
    private static let sendingsMax = 2

    var refusal: Refusal {
        switch self {
        case .stale, .refused, .cut, .malformed: .badUpstream
        case .timedOut: .upstreamTimeout
        }
    }

    /// Of the attempt.
    var outcome: AttemptOutcome {
        switch self {
        case .stale: .stale
        case .refused: .abandoned
        case .cut: .cut
        case .malformed: .malformed
        case .timedOut: .timedOut
        }
    }

    var detail: StaticString {
        switch self {
        case .stale, .cut: "the upstream closed the connection without an answer"
        case .refused: "the upstream does not take the request"
        case .malformed: "the upstream's answer is not valid HTTP"
        case .timedOut: "the upstream did not answer in time"
        }
    }
}

extension Exchange {
    /// The attempt under way has failed.
    func fail(_ failure: UpstreamFailure) {
        let circumstances = UpstreamFailure.Circumstances(
            hasAnswer: phase.hasAnswer, sendings: attempts.sendings, refusals: attempts.refusals, isKept: isKept,
            isRepeatable: request.isRepeatable, hasBody: request.hasBody)
        let consequence = failure.consequence(circumstances)
        if consequence == .breakOff { return breakOff() }
        dropUpstream(as: failure.outcome)
        switch (consequence, resolution.balancer?.counted) {
        case (.sendAfresh, let balancer?):
            attempts.sendings -= 1
            attempts.refusals += 1
            goOn(balancer.acquireFresh(for: self))
        case (.sendElsewhere, let balancer?):
            attempts.sendings -= 1
            attempts.refusals += 1
            goOn(balancer.acquire(for: self, avoiding: attempts.pool))
        case (.retry, let balancer?) where balancer.mayRetry():
            goOn(balancer.acquire(for: self, avoiding: attempts.pool))
        default: refuse(failure.refusal, failure.detail)
        }
    }
}
