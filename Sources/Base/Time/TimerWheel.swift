/// Something that can be woken at a time. A node of one `TimerWheel`.
open class Timed {
    /// When `expired()` is wanted, monotonic nanoseconds; `.max` is never. Set through `TimerWheel.schedule`.
    public internal(set) final var deadline: UInt64 = .max
    final var slot: Int32 = -1
    final var previous: Uncounted<Timed>?
    final var next: Uncounted<Timed>?

    public init() {}

    /// The deadline has passed. It is `.max` again by now.
    open func expired() {}
}

/// Deadlines by the thousand, cheaply: moving one further away, the common case of every request, is one store.
/// A node stays where it was linked and is looked at when that moment comes; only then does it move on.
///
/// One turn of the wheel is 4096 ticks of 4.2 ms = 17 s. A deadline beyond it is parked in the farthest slot.
/// A node does not keep its object alive: unlink with `remove` before it goes.
///
/// Both arrays are the wheel's own, and each index is below their length: a slot is taken modulo 4096.
@safe public struct TimerWheel: ~Copyable {
    static let tickShift: UInt64 = 22
    static let slots = 4096
    private let heads: UnsafeMutablePointer<Uncounted<Timed>?>
    private let occupied: UnsafeMutablePointer<UInt64>
    /// The next tick to be looked at.
    private var tick: UInt64

    public init(now: UInt64) {
        unsafe heads = .allocate(capacity: Self.slots)
        unsafe heads.initialize(repeating: nil, count: Self.slots)
        unsafe occupied = .allocate(capacity: Self.slots / 64)
        unsafe occupied.initialize(repeating: 0, count: Self.slots / 64)
        tick = now >> Self.tickShift
    }

    deinit {
        unsafe heads.deallocate()
        unsafe occupied.deallocate()
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
        node.next = unsafe heads[slot]
        // Whoever schedules it keeps it until it is out again.
        let reference = unsafe Uncounted(node)
        unsafe heads[slot]?.follow { $0.previous = reference }
        unsafe heads[slot] = reference
        unsafe occupied[slot >> 6] |= 1 << UInt64(slot & 63)
    }

    private mutating func unlink(_ node: Timed) {
        let slot = Int(node.slot)
        if let previous = node.previous {
            previous.follow { $0.next = node.next }
        } else {
            unsafe heads[slot] = node.next
            if node.next == nil { unsafe occupied[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
        }
        node.next?.follow { $0.previous = node.previous }
        node.slot = -1
        node.previous = nil
        node.next = nil
    }

    /// Nanoseconds until something may be due; nil when nothing is scheduled.
    public func wait(now: UInt64) -> UInt64? {
        var checked = 0
        var at = Int(tick & UInt64(Self.slots - 1))
        while checked <= Self.slots {
            let word = unsafe occupied[at >> 6] >> UInt64(at & 63)
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
            while let head = unsafe heads[slot] {
                let node = head.follow { $0 }
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
