import Base
import CLinux
import Glibc

/// What epoll reported of a descriptor.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: 0x1)
    public static let writable = Readiness(rawValue: 0x4)
    public static let failed = Readiness(rawValue: 0x8)
    public static let hungUp = Readiness(rawValue: 0x10)
    /// The peer will send no more.
    public static let peerFinished = Readiness(rawValue: 0x2000)
    static let edgeTriggered = Readiness(rawValue: 1 << 31)
}

/// Something with a descriptor on one event loop, or (fd -1) only with a deadline and turns.
///
/// Registered once for both directions, edge-triggered: no system call when interest changes. A source therefore
/// remembers itself that it may read, and reads until a short read.
open class Source: Timed {
    public final let loop: EventLoop
    public internal(set) final var fd: Int32
    /// Whose turn its work takes. Flows live as long as their loop: the reference is not counted.
    public final var flow: Flow {
        get { flowReference.follow { $0 } }
        set { flowReference = unsafe Uncounted(newValue) }
    }
    final var flowReference: Uncounted<Flow>
    public internal(set) final var isClosed = false
    final var slot32: UInt32 = .max
    final var pending: Readiness = []
    final var isQueued = false
    /// Since then: monotonic nanoseconds.
    final var queuedAt: UInt64 = 0
    final var nextReady: Uncounted<Source>?

    public init(loop: EventLoop, fd: Int32, flow: Flow) {
        self.loop = loop
        self.fd = fd
        flowReference = unsafe Uncounted(flow)
        super.init()
    }

    /// Its turn: everything that became ready since the last one.
    open func ready(_ events: Readiness) {}

    /// Something was reported of it, and its turn has not come yet.
    public final var hasNews: Bool { isQueued }
}

/// One thread's loop: epoll says what is ready, `Turns` whose turn it is, a timer wheel what is late.
///
///     epoll_wait → queue under flows → turns, until the share of time is used up → poll again → ... → timers → wait
///
/// **Lifetimes.** A slot holds the one counted reference to each source from its first `add`, `schedule` or `wake` until
/// `close`; queues, timers and the graveyard link sources without counting them. They can't dangle: `close` takes the
/// source out of the timers, a queued source keeps its slot's reference until its turn has come, and what is closed in its
/// own turn is let go only after it.
public final class EventLoop {
    private struct Slot {
        /// Counted: by `keep`, until `close` or the turn after it.
        var source: Uncounted<Source>?
        var generation: UInt32
        var nextFree: UInt32
    }

    private let epoll: Int32
    private var slots: [Slot] = []
    private var firstFree: UInt32 = .max
    private var timers: TimerWheel
    private var turns = Turns()
    private var reported = Reported()
    /// While work is queued, epoll is asked again after this long: what wakes meanwhile must not wait for the whole queue.
    private static let pollInterval: UInt64 = 150_000
    /// Sources closed during a turn whose own code may still be on the stack.
    private var graveyard: [Source] = []
    private var stopped = false

    /// Monotonic nanoseconds, as of the last turn.
    public private(set) var now: UInt64
    /// Late events of a descriptor that was closed and its number used again.
    private var staleEvents: UInt64 = 0
    /// How long turns were waited for since that was last asked.
    private var late = Lateness()
    public let buffers = BufferPool()
    /// For work that is nobody's in particular: mail, timers, listeners.
    public let commonFlow = Flow(weight: 100)
    /// Called when there is nothing left to do, before the loop waits.
    public var beforeWait: (() -> Void)?

    public init() throws(SystemError) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw SystemError("can't make an event loop") }
        now = Clock.monotonic()
        timers = TimerWheel(now: now)
        addFreeSlots(1024)
    }

    /// No source is left by now: each one keeps its loop.
    deinit { Glibc.close(epoll) }

    private func addFreeSlots(_ count: Int) {
        let start = slots.count
        slots += (start..<start + count).map { Slot(source: nil, generation: 0, nextFree: UInt32($0 + 1)) }
        slots[slots.count - 1].nextFree = firstFree
        firstFree = UInt32(start)
    }

    // MARK: Sources

    /// Watches the source's descriptor from now on and keeps the source alive until `close`. False when the kernel can't
    /// watch one more (epoll_ctl(2): no memory, too many watches): it is kept all the same, and may be added again.
    public func add(_ source: Source) -> Bool {
        if source.isClosed { return false }
        if source.slot32 == .max { keep(source) }
        if source.fd < 0 { return true }
        let index = source.slot32
        let events: Readiness = [.readable, .writable, .peerFinished, .edgeTriggered]
        let key = UInt64(slots[Int(index)].generation) << 32 | UInt64(index)
        return c_epoll_add(epoll, source.fd, events.rawValue, key) == 0
    }

    /// Without a descriptor there is nothing that can fail.
    @inline(never)
    private func keep(_ source: Source) {
        if firstFree == .max { addFreeSlots(slots.count) }
        let index = firstFree
        firstFree = slots[Int(index)].nextFree
        slots[Int(index)].source = unsafe .retaining(source)
        source.slot32 = index
    }

    /// Every source that is kept, in no order. Sources may be added and closed meanwhile.
    public func forEach(_ body: (Source) -> Void) {
        for source in slots.compactMap({ $0.source?.follow { $0 } }) where !source.isClosed { body(source) }
    }

    /// Closes the descriptor and forgets the source. Its `ready` and `expired` are not called again.
    public func close(_ source: Source) {
        if source.isClosed { return }
        source.isClosed = true
        timers.remove(source)
        if source.fd >= 0 {
            Glibc.close(source.fd)
            source.fd = -1
        }
        guard source.slot32 != .max else { return }
        let index = Int(source.slot32)
        source.slot32 = .max
        let reference = slots[index].source!
        slots[index].source = nil
        slots[index].generation &+= 1
        slots[index].nextFree = firstFree
        firstFree = UInt32(index)
        // A queued source is let go when its turn comes; any other one after the present turn.
        if !source.isQueued { graveyard.append(unsafe reference.release()) }
    }

    /// Gives the descriptor away without closing it.
    public func detach(_ source: Source) -> Int32 {
        let fd = source.fd
        if fd >= 0 { _ = c_epoll_delete(epoll, fd) }
        source.fd = -1
        close(source)
        return fd
    }

    /// The same as `close` where another process may have the descriptor open as well: the kernel would watch it for as long
    /// as anybody has it.
    public func closeShared(_ source: Source) {
        let fd = detach(source)
        if fd >= 0 { Glibc.close(fd) }
    }

    /// Wants `source.expired()` at `deadline` (monotonic nanoseconds); `.max` cancels. Each source has one deadline.
    public func schedule(_ source: Source, at deadline: UInt64) {
        if source.isClosed { return }
        if source.slot32 == .max { keep(source) }
        timers.schedule(source, at: deadline)
    }

    /// Queues the source for a turn as if epoll had reported `events`.
    public func wake(_ source: Source, _ events: Readiness) {
        if source.isClosed { return }
        if source.slot32 == .max { keep(source) }
        source.pending.formUnion(events)
        if source.isQueued { return }
        source.isQueued = true
        source.queuedAt = now
        source.flowReference.follow { flow in
            flow.append(source)
            turns.activate(flow, now: now)
        }
    }

    /// How long a turn was waited for since the last call, on the average: nanoseconds.
    public func takeLag() -> UInt64 { late.take() }

    /// How many there were since the last call.
    public func takeStaleEvents() -> UInt64 {
        defer { staleEvents = 0 }
        return staleEvents
    }

    // MARK: Running

    /// Ends `run` after the present turn.
    public func stop() { stopped = true }

    public func run() {
        while !stopped {
            takeTurns()
            fireTimers()
            if stopped { return }
            if turns.isEmpty {
                beforeWait?()
                poll(timeout: turns.isEmpty ? waitMilliseconds() : 0)
            } else {
                poll(timeout: 0)
            }
        }
    }

    /// After `run`, of a loop that is not to run again and whose sources are all closed: lets go of those that have turns to
    /// come.
    public func letGo() {
        while let reference = turns.next() {
            reference.follow { source in
                source.isQueued = false
                if source.isClosed { graveyard.append(unsafe reference.release()) }
            }
            turns.charge(0, now: now)
        }
        bury()
    }

    private func waitMilliseconds() -> Int32 {
        guard let wait = timers.wait(now: now) else { return 1000 }
        return Int32(min((wait + 999_999) / 1_000_000, 1000))
    }

    private func poll(timeout: Int32) {
        let count = reported.wait(epoll, milliseconds: timeout)
        now = Clock.monotonic()
        guard count > 0 else { return }
        for i in 0..<count {
            let (key, events) = reported[i]
            let index = Int(key & 0xFFFF_FFFF)
            guard let source = slots[index].source, slots[index].generation == UInt32(key >> 32) else {
                staleEvents += 1
                continue
            }
            source.follow { wake($0, events) }
        }
    }

    /// In place of `run`, for whoever has a clock of its own: takes all turns that are queued and fires what is due. The
    /// kernel is not asked, nor is the time.
    public func step(to time: UInt64) {
        now = max(now, time)
        repeat {
            while let reference = turns.next() {
                turn(reference)
                turns.charge(1, now: now)
            }
            fireTimers()
        } while !turns.isEmpty
    }

    private func turn(_ reference: Uncounted<Source>) {
        reference.follow { source in
            source.isQueued = false
            late.add(now &- source.queuedAt)
            let events = source.pending
            source.pending = []
            if source.isClosed { graveyard.append(unsafe reference.release()) } else { source.ready(events) }
        }
        bury()
    }

    private func takeTurns() {
        let pollAgain = now + Self.pollInterval
        while let reference = turns.next() {
            let began = now
            turn(reference)
            now = Clock.monotonic()
            turns.charge(Int64(now &- began), now: now)
            if now >= pollAgain || stopped { return }
        }
    }

    private func fireTimers() {
        while let late = timers.next(due: now) {
            late.expired()
            bury()
        }
    }

    private func bury() {
        while graveyard.popLast() != nil {}
    }
}

@available(*, unavailable)
extension EventLoop: Sendable {}
