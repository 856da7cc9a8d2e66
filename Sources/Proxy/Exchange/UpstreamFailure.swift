import Base
import Configuration
import Metrics

/// How an attempt at a server ends without an answer.
enum UpstreamFailure {
    /// A kept connection has ended before a byte of an answer.
    case stale
    /// It has surely not processed the request (RFC 9113 section 8.7).
    case refused
    /// It refuses our certificate, or the lack of one, and has read nothing of the request.
    case unwelcome
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
        /// How often it was sent, or could not be.
        var sendings: Int
        /// How often it was surely not processed.
        var refusals = 0
        /// The head is there to be sent once more, with all that was read of the body.
        var isKept: Bool
        /// A second arrival does no harm, and nothing of it is gone.
        var isRepeatable: Bool
        var hasBody: Bool
        /// What its upstream says of sending again.
        var retry = RetrySettings()
        /// All of it was read, and it asks for no other protocol.
        var isWhole = false

        /// Whether it is to be sent once more for that cause, if the budget bears it.
        func maySendAgain(for cause: RetrySettings.Causes) -> Bool {
            guard isKept, sendings < retry.tries, !retry.causes.isDisjoint(with: cause) else { return false }
            guard isRepeatable || (isWhole && retry.causes.contains(.nonIdempotent)) else { return false }
            return !hasBody || retry.hasBodies
        }
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
    ///     stale        send afresh, if it may be sent again with all of its body;     (can't be)
    ///                  what is not idempotent as `cut`
    ///     refused      send elsewhere, whatever it is, while all of it is there       (can't be)
    ///     unwelcome    the same
    ///     cut          retry, if `retry` has `reset` and it may be sent again         break off
    ///     malformed    refuse: the server has it, and would answer the same           break off
    ///     timedOut     the same, if `retry` has `timeout`                             break off
    ///
    /// What can't be connected to is no failure of this kind: see `Dial`. What is answered is none: see `isSentAgain`.
    func consequence(_ now: Circumstances) -> Consequence {
        if now.hasAnswer { return .breakOff }
        switch self {
        case .refused, .unwelcome: return now.isKept && now.refusals < Limits.refusalsMax ? .sendElsewhere : .refuse
        case .stale where now.isRepeatable: return now.isKept && now.refusals < Limits.refusalsMax ? .sendAfresh : .refuse
        case .stale, .cut: return now.maySendAgain(for: .reset) ? .retry : .refuse
        case .timedOut: return now.maySendAgain(for: .timeout) ? .retry : .refuse
        case .malformed: return .refuse
        }
    }

    var refusal: Refusal {
        switch self {
        case .stale, .refused, .unwelcome, .cut, .malformed: .badUpstream
        case .timedOut: .upstreamTimeout
        }
    }

    /// Of the attempt.
    var outcome: AttemptOutcome {
        switch self {
        case .stale: .stale
        case .refused: .abandoned
        case .unwelcome: .unreachable
        case .cut: .cut
        case .malformed: .malformed
        case .timedOut: .timedOut
        }
    }

    var detail: StaticString {
        switch self {
        case .stale, .cut: "the upstream closed the connection without an answer"
        case .refused: "the upstream does not take the request"
        case .unwelcome: "the upstream does not take the gateway's certificate"
        case .malformed: "the upstream's answer is not valid HTTP"
        case .timedOut: "the upstream did not answer in time"
        }
    }
}

extension Exchange {
    /// Its client has given it less time than the upstream has: that it is over says nothing about the server.
    private var isHurried: Bool {
        guard let call = request.grpc, call.deadline < .max else { return false }
        return call.deadline < attempts.sentAt &+ upstreamTimeout
    }

    /// The attempt under way has failed.
    func fail(_ failure: UpstreamFailure) {
        let consequence = failure.consequence(circumstances)
        if consequence == .breakOff { return breakOff() }
        dropUpstream(as: failure == .timedOut && isHurried ? .abandoned : failure.outcome)
        switch (consequence, resolution.balancer?.counted) {
        case (.sendAfresh, let balancer?):
            attempts.sendings -= 1
            attempts.refusals += 1
            goOn(balancer.acquireFresh(for: self))
        case (.sendElsewhere, let balancer?):
            attempts.sendings -= 1
            attempts.refusals += 1
            goOn(balancer.acquire(for: self, avoiding: attempts.pool))
        case (.retry, _) where takeRetry(): goAgain(isAtOnce: true)
        default: refuse(failure.refusal, failure.detail)
        }
    }
}
