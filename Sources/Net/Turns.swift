import Base

/// The flows that have ready work, and whose turn it is.
///
///               credit left    ┌───────┐  turn  ┌───────┐
///     activate ──────────────▶ │ fresh │ ─────▶ │ works │ ── no work left ──▶ idle
///         │                    └───────┘        └───────┘
///         │   no credit left   ┌───────┐  turn    ▲   │ work left, credit used up
///         └──────────────────▶ │ spent │ ─────────┘   │
///                              └───────┘ ◀────────────┘
///
/// Fresh ones go first, in the order of their waking: who asks for little waits for nobody who asks for much. But spent
/// ones, once there are any, get a fifth of the time at least: ten thousand tenants that each ask for little would keep an
/// eleventh thousandth waiting for as long as they come. A spent flow gets its share at each visit and works once it is
/// out of debt.
///
/// Urgent ones, of which there are few with little work, go before both.
struct Turns {
    /// Nanoseconds that fresh flows may be ahead of spent ones, whose own time counts `spentWeight` times.
    private static let leadMax = 4 * Flow.quantum
    private static let spentWeight: Int64 = 4

    /// Those that wait, and of each kind the one whose turn it is.
    private var fresh = FlowRing()
    private var spent = FlowRing()
    private var freshTurn: Uncounted<Flow>?
    private var spentTurn: Uncounted<Flow>?
    private var urgent = FlowRing()
    private var urgentTurn: Uncounted<Flow>?
    /// Of which kind the piece of work is that was handed out last.
    private var isFresh = false
    /// What fresh flows have worked more than spent ones.
    private var lead: Int64 = 0

    var isEmpty: Bool {
        freshTurn == nil && spentTurn == nil && urgentTurn == nil && fresh.isEmpty && spent.isEmpty && urgent.isEmpty
    }

    /// The flow has work from now on.
    mutating func activate(_ flow: Flow, now: UInt64) {
        if flow.isActive { return }
        // Flows live as long as their loop, and these turns are the loop's.
        let reference = unsafe Uncounted(flow)
        if flow.isUrgent {
            flow.isActive = true
            return urgent.append(reference)
        }
        flow.wake(now: now)
        if flow.credit > 0 { fresh.append(reference) } else { spent.append(reference) }
    }

    /// The next piece of work, to be followed by `charge`; nil when there is nothing to do.
    mutating func next() -> Uncounted<Source>? {
        if urgentTurn == nil { urgentTurn = urgent.popFirst() }
        if let urgentTurn { return urgentTurn.follow { $0.popFirst() } }
        if freshTurn == nil { freshTurn = fresh.popFirst() }
        if spentTurn == nil { spentTurn = nextSpent() }
        isFresh = freshTurn != nil && (spentTurn == nil || lead < Self.leadMax)
        // A flow here always has work: `charge` lets go of one that has none.
        return (isFresh ? freshTurn : spentTurn)?.follow { $0.popFirst() }
    }

    private mutating func nextSpent() -> Uncounted<Flow>? {
        while let flow = spent.popFirst() {
            let isOutOfDebt = flow.follow { flow in
                flow.credit += Flow.quantum * flow.weight
                return flow.credit > 0
            }
            if isOutOfDebt { return flow }
            spent.append(flow)
        }
        return nil
    }

    /// The piece of work took this many nanoseconds, until now.
    mutating func charge(_ nanoseconds: Int64, now: UInt64) {
        if let urgentTurn { return chargeNothing(urgentTurn) }
        guard let flow = isFresh ? freshTurn : spentTurn else { return }
        lead = min(max(lead + (isFresh ? nanoseconds : -Self.spentWeight * nanoseconds), 0), Self.leadMax)
        let (hasWork, hasCredit) = flow.follow { flow in
            flow.credit = max(flow.credit - nanoseconds, -Flow.debtMax)
            flow.isActive = flow.head != nil
            flow.idleSince = now
            return (flow.isActive, flow.credit > 0)
        }
        if hasWork && hasCredit { return }
        if hasWork { spent.append(flow) }
        if isFresh { freshTurn = nil } else { spentTurn = nil }
    }

    private mutating func chargeNothing(_ flow: Uncounted<Flow>) {
        let hasWork = flow.follow { flow in
            flow.isActive = flow.head != nil
            return flow.isActive
        }
        if !hasWork { urgentTurn = nil }
    }
}

/// A queue of flows in a ring that grows.
private struct FlowRing {
    private var ring: [Uncounted<Flow>?] = Array(repeating: nil, count: 64)
    private var first = 0
    private var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ flow: Uncounted<Flow>) {
        if count == ring.count { grow() }
        ring[(first + count) & (ring.count - 1)] = flow
        count += 1
    }

    mutating func popFirst() -> Uncounted<Flow>? {
        if count == 0 { return nil }
        defer {
            first = (first + 1) & (ring.count - 1)
            count -= 1
        }
        return ring[first]
    }

    private mutating func grow() {
        var larger: [Uncounted<Flow>?] = Array(repeating: nil, count: ring.count * 2)
        for i in 0..<count { larger[i] = ring[(first + i) & (ring.count - 1)] }
        (ring, first) = (larger, 0)
    }
}
