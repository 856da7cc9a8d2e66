import Base

/// Whose turn it is. Ready work queues under its flow (a tenant; a client's address while the tenant is not known), and
/// flows take turns by deficit round robin over measured time: a hundred ready connections of one tenant cost another
/// tenant one turn, not a hundred. `Turns` keeps the order. A flow must live as long as its loop.
open class Flow {
    /// Nanoseconds of work per round and unit of weight. A few requests' worth.
    public static let quantum: Int64 = 60_000
    /// The most that is owed for one turn: the dearest piece of work there is takes about this long, and what took longer
    /// was not the flow's doing but that of whoever took the CPU away.
    static let debtMax = 16 * quantum
    /// An idle flow earns this part of the time that passes: who takes less of the loop is never behind in the first place.
    private static let idleShare: UInt64 = 16

    public final var weight: Int64 {
        didSet { assert(weight > 0) }
    }
    /// Time left in this round; below zero is debt.
    final var credit: Int64
    /// Since when it has no work, by the loop's clock: credit comes back meanwhile.
    final var idleSince: UInt64 = 0
    final var isActive = false
    /// Its work is done before anybody else's, and not measured: signals, a supervisor's questions, little as they are.
    final let isUrgent: Bool
    /// Sources that wait for its turn. The loop keeps each one until then: see there.
    final var head: Uncounted<Source>?
    final var tail: Uncounted<Source>?

    public init(weight: Int, isUrgent: Bool = false) {
        self.weight = Int64(max(1, weight))
        self.isUrgent = isUrgent
        credit = Self.quantum * self.weight
    }

    /// It has work again.
    final func wake(now: UInt64) {
        let full = Self.quantum * weight
        // What is missing is little: longer idleness is cut off before it is multiplied.
        let idle = min(now &- idleSince, UInt64(full + Self.debtMax) * Self.idleShare)
        credit = min(full, credit + Int64(idle / Self.idleShare) * weight)
        isActive = true
    }

    final func append(_ source: Source) {
        let reference = unsafe Uncounted(source)
        source.nextReady = nil
        if let tail { tail.follow { $0.nextReady = reference } } else { head = reference }
        tail = reference
    }

    final func popFirst() -> Uncounted<Source>? {
        guard let first = head else { return nil }
        head = first.follow { $0.nextReady }
        if head == nil { tail = nil }
        return first
    }
}
