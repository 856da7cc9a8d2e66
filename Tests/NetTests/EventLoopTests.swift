import Base
import Glibc
import Synchronization
import Testing

@testable import Net

/// Takes two milliseconds each turn, and always wants another one.
private final class Busy: Source {
    override func ready(_ events: Readiness) {
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
        for flow in flows {
            let busy = Busy(loop: loop, fd: -1, flow: flow)
            loop.wake(busy, [])
        }
        let timer = Timer(loop: loop, fd: -1, flow: loop.commonFlow)
        timer.start()
        let mailbox = try Mailbox<UInt64>()
        var waits: [UInt64] = []
        let urgent = Flow(weight: 1, isUrgent: true)
        try mailbox.deliver(on: loop, in: urgent) { sent in
            waits.append(Clock.monotonic() - sent)
            if waits.count == 20 { loop.stop() }
        }
        let sender = try Thread("sender") {
            for _ in 0..<20 {
                usleep(10_000)
                mailbox.post(Clock.monotonic())
            }
        }
        loop.run()
        sender.join()
        // One turn of somebody else's, in 200 that wait; with room for a machine that does other things too.
        #expect(waits.sorted()[10] < 10_000_000)
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
            let queued = Busy(loop: loop, fd: -1, flow: loop.commonFlow)
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
