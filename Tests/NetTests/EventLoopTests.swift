import Base
import Glibc
import Synchronization
import Testing

@testable import Net

/// How many turns were taken: a measure of waiting that a busy machine does not stretch.
private final class TurnCount: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .sequentiallyConsistent) }
    func add() { count.add(1, ordering: .sequentiallyConsistent) }
}

/// Takes two milliseconds each turn, and always wants another one.
private final class Busy: Source {
    let turns: TurnCount

    init(loop: EventLoop, flow: Flow, turns: TurnCount) {
        self.turns = turns
        super.init(loop: loop, fd: -1, flow: flow)
    }

    override func ready(_ events: Readiness) {
        turns.add()
        let began = Clock.monotonic()
        while Clock.monotonic() - began < 2_000_000 {}
        loop.wake(self, [])
    }
}

private final class Timer: Source {
    private(set) var late: [UInt64] = []
    private static let period: UInt64 = 20_000_000

    func start() { loop.schedule(self, at: loop.now + Self.period) }

    override func expired() {
        start()
        late.append(Clock.monotonic() - loop.now)
    }
}

@Suite struct EventLoopTests {
    @Test("urgent mail and timers come first, however much else is to be done")
    func first() throws {
        let loop = try EventLoop()
        let flows = (0..<200).map { _ in Flow(weight: 1) }
        let turns = TurnCount()
        for flow in flows { loop.wake(Busy(loop: loop, flow: flow, turns: turns), []) }
        let timer = Timer(loop: loop, fd: -1, flow: loop.commonFlow)
        timer.start()
        let mailbox = try Mailbox<Int>()
        var waits: [Int] = []
        let urgent = Flow(weight: 1, isUrgent: true)
        try mailbox.deliver(on: loop, in: urgent) { sent in
            waits.append(turns.value - sent)
            if waits.count == 20 { loop.stop() }
        }
        let sender = try Thread("sender") {
            for _ in 0..<20 {
                usleep(10_000)
                mailbox.post(turns.value)
            }
        }
        loop.run()
        sender.join()
        // The turn under way and one more, in 200 that wait.
        #expect(waits.sorted()[10] <= 2)
        #expect(timer.late.count >= 5)
        withExtendedLifetime((flows, urgent)) {}
    }

    @Test("a loop ends after the turn that ends it, and is gone with all that it had")
    func end() throws {
        weak var gone: EventLoop?
        let began = Clock.monotonic()
        do {
            let loop = try EventLoop()
            gone = loop
            let mailbox = try Mailbox<Int>()
            let delivery = try mailbox.deliver(on: loop) { _ in loop.stop() }
            // Closed, with a turn to come that it does not get.
            let queued = Busy(loop: loop, flow: loop.commonFlow, turns: TurnCount())
            mailbox.post(1)
            loop.run()
            loop.wake(queued, [])
            loop.close(queued)
            delivery.end()
            loop.letGo()
        }
        #expect(gone == nil)
        #expect(Clock.monotonic() - began < 500_000_000)
    }

    @Test("mail to a loop that is gone harms nobody, and the mailbox's descriptor goes with the last who may post")
    func late() throws {
        var mailbox: Mailbox<Int>? = try Mailbox()
        let number = try #require(mailbox?.fd)
        let loop = try EventLoop()
        let delivery = try mailbox?.deliver(on: loop) { _ in Issue.record("delivered") }
        delivery?.end()
        loop.letGo()
        mailbox?.post(1)
        #expect(fcntl(number, F_GETFD) >= 0)
        mailbox = nil
    }
}
