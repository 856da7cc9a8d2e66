import Metrics

/// How an attempt at a server ends without an answer.
enum UpstreamFailure {
    /// It can't be connected to; nothing was sent.
    case unreachable
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
        var attempts: Int
        /// The head is there to be sent once more, with all that was read of the body.
        var isKept: Bool
        /// A second arrival does no harm, and nothing of it is gone.
        var maySendAgain: Bool
        /// There is another server, or another address of this one.
        var hasElsewhere: Bool
    }

    enum Consequence: Equatable {
        /// If the upstream's retry budget bears it; otherwise the refusal.
        case retry
        case refuse
        case breakOff
    }

    /// What becomes of the request.
    ///
    ///                  before an answer                                               in an answer
    ///     unreachable  retry, if there is elsewhere to go                             (can't be)
    ///     cut          retry, if it may be sent again                                 break off
    ///     malformed    refuse: the server has it, and would answer the same           break off
    ///     timedOut     refuse: the client has waited long enough                      break off
    func consequence(_ now: Circumstances) -> Consequence {
        if now.hasAnswer { return .breakOff }
        let mayRetry: Bool
        switch self {
        case .unreachable: mayRetry = now.hasElsewhere
        case .cut: mayRetry = now.maySendAgain
        case .malformed, .timedOut: mayRetry = false
        }
        return mayRetry && now.isKept && now.attempts < Self.attemptsMax ? .retry : .refuse
    }

    /// A request is tried at most so often.
    private static let attemptsMax = 2

    var refusal: Refusal {
        switch self {
        case .unreachable, .cut, .malformed: .badUpstream
        case .timedOut: .upstreamTimeout
        }
    }

    /// Of the attempt.
    var outcome: AttemptOutcome {
        switch self {
        case .unreachable: .unreachable
        case .cut: .cut
        case .malformed: .malformed
        case .timedOut: .timedOut
        }
    }

    var detail: StaticString {
        switch self {
        case .unreachable: "the upstream can't be reached"
        case .cut: "the upstream closed the connection without an answer"
        case .malformed: "the upstream's answer is not valid HTTP"
        case .timedOut: "the upstream did not answer in time"
        }
    }
}

extension Exchange {
    /// The attempt under way has failed.
    func fail(_ failure: UpstreamFailure) {
        let circumstances = UpstreamFailure.Circumstances(
            hasAnswer: phase.hasAnswer, attempts: attempts.count, isKept: isKept, maySendAgain: maySendAgain,
            hasElsewhere: hasElsewhere)
        let consequence = failure.consequence(circumstances)
        if consequence == .breakOff { return breakOff() }
        dropUpstream(as: failure.outcome)
        guard consequence == .retry, let balancer = resolution.balancer?.counted, balancer.mayRetry() else {
            refuse(failure.refusal, failure.detail)
            return
        }
        goOn(balancer.acquire(for: self, avoiding: attempts.pool))
    }

    private var hasElsewhere: Bool {
        if (attempts.pool?.server.addresses.count ?? 0) > 1 { return true }
        return resolution.balancer?.follow { $0.hasOther(than: attempts.pool) } ?? false
    }
}
