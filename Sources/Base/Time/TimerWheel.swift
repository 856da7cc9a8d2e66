/// Something that can be woken at a time. A node of one `TimerWheel`.
open class Timed {
    /// When `expired()` is wanted, monotonic nanoseconds; `.max` is never. Set through `TimerWheel.schedule`.
    public internal(set) final var deadline: UInt64 = .max
    final var slot: Int32 = -1
    final var previous: Unmanaged<Timed>?
    final var next: Unmanaged<Timed>?

    public init() {}

    /// The deadline has passed. It is `.max` again by now.
    open func expired() {}
}

/// Deadlines by the thousand, cheaply: moving one further away, the common case of every request, is one store.
/// A node stays where it was linked and is looked at when that moment comes; only then does it move on.
///
/// One turn of the wheel is 4096 ticks of 4.2 ms = 17 s. A deadline beyond it is parked in the farthest slot.
/// A node does not keep its object alive: unlink with `remove` before it goes.
public struct TimerWheel: ~Copyable {
    static let tickShift: UInt64 = 22
    static let slots = 4096
    private let heads: UnsafeMutablePointer<Unmanaged<Timed>?>
    private let occupied: UnsafeMutablePointer<UInt64>
    /// The next tick to be looked at.
    private var tick: UInt64

    public init(now: UInt64) {
        heads = .allocate(capacity: Self.slots)
        heads.initialize(repeating: nil, count: Self.slots)
        occupied = .allocate(capacity: Self.slots / 64)
        occupied.initialize(repeating: 0, count: Self.slots / 64)
        tick = now >> Self.tickShift
    }

    deinit {
        heads.deallocate()
        occupied.deallocate()
    }

    /// Wants `node.expired()` at `deadline`; `.max` cancels.
    public mutating func schedule(_ node: Timed, at deadline: UInt64) {
        let sooner = deadline < node.deadline
        node.deadline = deadline
        if node.slot >= 0 {
            // A later deadline waits for its turn; a sooner one may have to move forward.
            if !sooner { return }
            unlink(node)
        }
        if deadline != .max { link(node) }
    }

    public mutating func remove(_ node: Timed) {
        node.deadline = .max
        if node.slot >= 0 { unlink(node) }
    }

    private mutating func link(_ node: Timed) {
        // Rounded up, so that nothing fires early. A whole turn ahead would be the slot that is being looked at, from the
        // tick before: one less.
        let wanted = min((node.deadline &+ (1 << Self.tickShift) &- 1) >> Self.tickShift, tick + UInt64(Self.slots) - 2)
        let slot = Int(max(wanted, tick) & UInt64(Self.slots - 1))
        node.slot = Int32(slot)
        node.previous = nil
        node.next = heads[slot]
        heads[slot]?._withUnsafeGuaranteedRef { $0.previous = Unmanaged.passUnretained(node) }
        heads[slot] = Unmanaged.passUnretained(node)
        occupied[slot >> 6] |= 1 << UInt64(slot & 63)
    }

    private mutating func unlink(_ node: Timed) {
        let slot = Int(node.slot)
        if let previous = node.previous {
            previous._withUnsafeGuaranteedRef { $0.next = node.next }
        } else {
            heads[slot] = node.next
            if node.next == nil { occupied[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
        }
        node.next?._withUnsafeGuaranteedRef { $0.previous = node.previous }
        node.slot = -1
        node.previous = nil
        node.next = nil
    }

    /// Nanoseconds until something may be due; nil when nothing is scheduled.
    public func wait(now: UInt64) -> UInt64? {
        var checked = 0
        var at = Int(tick & UInt64(Self.slots - 1))
        while checked <= Self.slots {
            let word = occupied[at >> 6] >> UInt64(at & 63)
            if word != 0 {
                let ticks = UInt64(checked + word.trailingZeroBitCount)
                let due = (tick + ticks) << Self.tickShift
                return due > now ? due - now : 0
            }
            let step = 64 - (at & 63)
            checked += step
            at = (at + step) & (Self.slots - 1)
        }
        return nil
    }

    /// Takes out one node that is due at `now`, or nil. Call until nil; then call `expired()` on each as it comes.
    public mutating func next(due now: UInt64) -> Timed? {
        let last = now >> Self.tickShift
        while tick <= last {
            let slot = Int(tick & UInt64(Self.slots - 1))
            while let head = heads[slot] {
                let node = head.takeUnretainedValue()
                unlink(node)
                if node.deadline <= now {
                    node.deadline = .max
                    return node
                }
                if node.deadline != .max {
                    // Its deadline moved meanwhile. Linking may only choose a later slot than this one.
                    relink(node)
                }
            }
            tick += 1
        }
        return nil
    }

    private mutating func relink(_ node: Timed) {
        let here = tick
        tick += 1
        link(node)
        tick = here
    }
}
