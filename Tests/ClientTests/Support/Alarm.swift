import Base
import Glibc
import Net
import Synchronization

/// Rings on a loop, again and again.
final class Alarm: Source {
    private let period: UInt64
    private let stops: Bool
    private let ring: (Alarm) -> Void
    private(set) var count = 0

    init(_ loop: EventLoop, every period: UInt64, starts: Bool = true, stops: Bool = false, ring: @escaping (Alarm) -> Void = { _ in }) {
        (self.period, self.stops, self.ring) = (period, stops, ring)
        super.init(loop: loop, fd: -1, flow: loop.commonFlow)
        if starts { start() }
    }

    func start() { loop.schedule(self, at: Clock.monotonic() + period) }

    override func expired() {
        count += 1
        start()
        ring(self)
        if stops { loop.stop() }
    }
}

final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add(_ more: Int) { count.add(more, ordering: .relaxed) }
}

/// For a scripted server, that many milliseconds.
func pause(_ milliseconds: Int32) { poll(nil, 0, milliseconds) }
