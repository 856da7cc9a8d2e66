import Base

/// Leaves a service alone that does not decide: after some failures in a row nobody asks it for a while, then one request does.
///
///     closed ──failures in a row──► open ──its time is over──► trying ──answer──► closed
///                                    ▲                          │
///                                    └───────── failure ────────┘
struct DecisionBreaker {
    enum Leave { case asks, tries, no }

    private var failures = 0
    /// Monotonic nanoseconds; zero while it is closed.
    private var openUntil: UInt64 = 0
    /// How often it has opened without an answer in between.
    private var openings: UInt64 = 0
    private var isTrying = false

    var isOpen: Bool { openUntil > 0 }

    /// Whether a request may ask.
    mutating func leave(now: UInt64) -> Leave {
        if openUntil == 0 { return .asks }
        if isTrying || now < openUntil { return .no }
        isTrying = true
        return .tries
    }

    /// - Returns: whether it was open.
    mutating func succeeded() -> Bool {
        let wasOpen = isOpen
        self = DecisionBreaker()
        return wasOpen
    }

    /// What was asked before it has opened says nothing new.
    /// - Parameter asTry: it was the one that tried.
    /// - Returns: for how many nanoseconds it is open from now on; nil where that is as it was.
    mutating func failed(asTry: Bool, now: UInt64) -> UInt64? {
        if isOpen, !asTry { return nil }
        failures += 1
        if !asTry, failures < Limits.decisionFailures { return nil }
        let time = min(Limits.decisionPauseNanoseconds << min(openings, 8), Limits.decisionPauseMaxNanoseconds)
        (openUntil, isTrying) = (now &+ time, false)
        openings += 1
        return time
    }

    /// Nobody waited any more for what it tried.
    mutating func abandoned() { isTrying = false }
}
