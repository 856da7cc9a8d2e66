/// Whose turn it is. Ready work queues under its flow (a tenant; a client's address while the tenant is not known), and
/// flows take turns by deficit round robin over measured time: a hundred ready connections of one tenant cost another
/// tenant one turn, not a hundred.
///
/// A flow that wakes with credit left goes first; one that has used up its share waits behind the others, once around.
/// A flow must live as long as its loop.
open class Flow {
    /// Nanoseconds of work per round and unit of weight. A few requests' worth.
    public static let quantum: Int64 = 60_000

    public final var weight: Int64 {
        didSet { assert(weight > 0) }
    }
    /// Time left in this round; below zero is debt.
    final var credit: Int64
    final var isActive = false
    final var head: Unmanaged<Source>?
    final var tail: Unmanaged<Source>?

    public init(weight: Int) {
        self.weight = Int64(max(1, weight))
        credit = Self.quantum * self.weight
    }

    final func append(_ source: Source) {
        let reference = Unmanaged.passUnretained(source)
        source.nextReady = nil
        if let tail { tail._withUnsafeGuaranteedRef { $0.nextReady = reference } } else { head = reference }
        tail = reference
    }

    final func popFirst() -> Unmanaged<Source>? {
        guard let first = head else { return nil }
        head = first._withUnsafeGuaranteedRef { $0.nextReady }
        if head == nil { tail = nil }
        return first
    }
}

/// The flows that have ready work, in turn.
struct Turns {
    /// Flows live as long as their loop: none is counted.
    private var ring: [Unmanaged<Flow>?] = Array(repeating: nil, count: 64)
    private var first = 0
    private(set) var count = 0

    var current: Unmanaged<Flow>? { count == 0 ? nil : ring[first] }

    mutating func activate(_ flow: Flow) {
        if flow.isActive { return }
        flow.isActive = true
        if count == ring.count { grow() }
        count += 1
        if flow.credit > 0 {
            first = (first - 1) & (ring.count - 1)
            ring[first] = .passUnretained(flow)
        } else {
            flow.credit += Flow.quantum * flow.weight
            ring[(first + count - 1) & (ring.count - 1)] = .passUnretained(flow)
        }
    }

    /// The current flow has no more work.
    mutating func retire() {
        ring[first]!._withUnsafeGuaranteedRef { $0.isActive = false }
        ring[first] = nil
        first = (first + 1) & (ring.count - 1)
        count -= 1
    }

    /// The current flow has used up its share: behind the others, with a new share.
    mutating func rotate() {
        let flow = ring[first]!
        flow._withUnsafeGuaranteedRef { $0.credit += Flow.quantum * $0.weight }
        if count == 1 { return }
        ring[first] = nil
        first = (first + 1) & (ring.count - 1)
        ring[(first + count - 1) & (ring.count - 1)] = flow
    }

    private mutating func grow() {
        var larger: [Unmanaged<Flow>?] = Array(repeating: nil, count: ring.count * 2)
        for i in 0..<count { larger[i] = ring[(first + i) & (ring.count - 1)] }
        (ring, first) = (larger, 0)
    }
}
