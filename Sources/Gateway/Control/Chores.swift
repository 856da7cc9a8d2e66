import Base
import Glibc
import Net
import Proxy
import Storage
import Synchronization

/// What the control thread does now and then: looks names up again, tidies up, and tells systemd that every loop moves.
final class Chores: Source {
    /// Of all workers.
    private let mailboxes: () -> [Mailbox<WorkerMessage>]
    private let notifier: SystemdNotifier
    private let meters: MeterKeeper
    private let time: TimeKeeper
    private let refreshNames: () -> Void
    private let tidy: () -> Void
    /// Another process has taken over, and tells the time.
    var isLeaving = false
    private var sinceNames: UInt64 = 0
    private var sinceCopy: UInt64 = 0
    /// Workers that were asked last, and of those who have answered. Shared with them.
    private var asked = 0
    private let answered = Answered()
    private static let period: UInt64 = 1_000_000_000
    /// What is counted within it may be lost with the file. Reading a hundred thousand slots takes some 20 ms.
    private static let copyPeriod: UInt64 = 5_000_000_000
    /// `getaddrinfo` tells no time to live; this is what most resolvers' caches take for short.
    private static let namesPeriod: UInt64 = 10_000_000_000

    private final class Answered: Sendable {
        let count = Atomic<Int>(0)
    }

    init(
        loop: EventLoop, mailboxes: @escaping () -> [Mailbox<WorkerMessage>], notifier: SystemdNotifier,
        meters: MeterKeeper, time: TimeKeeper, refreshNames: @escaping () -> Void, tidy: @escaping () -> Void
    ) {
        (self.meters, self.time, self.tidy) = (meters, time, tidy)
        (self.mailboxes, self.notifier, self.refreshNames) = (mailboxes, notifier, refreshNames)
        super.init(loop: loop, fd: -1, flow: loop.commonFlow)
        loop.schedule(self, at: loop.now + Self.period)
    }

    override func expired() {
        let period = min(Self.period, notifier.watchdogInterval ?? .max)
        loop.schedule(self, at: loop.now + period)
        let mailboxes = mailboxes()
        Descriptors.keepSome(workers: mailboxes.count)
        if !isLeaving { time.now() }
        meters.mend()
        meters.table.reclaim()
        if !isLeaving { meters.table.noteTime(monotonic: loop.now) }
        tidy()
        sinceCopy += period
        if sinceCopy >= Self.copyPeriod {
            sinceCopy = 0
            meters.remember()
        }
        sinceNames += period
        if sinceNames >= Self.namesPeriod {
            sinceNames = 0
            refreshNames()
        }
        notifier.tellRest()
        // A loop that hangs does not answer, and then nobody says that all is well.
        if notifier.watchdogInterval != nil, answered.count.load(ordering: .relaxed) == asked {
            notifier.alive()
            answered.count.store(0, ordering: .relaxed)
            asked = mailboxes.count
            let answered = answered
            for worker in mailboxes { worker.post(.ask { _ in answered.count.add(1, ordering: .relaxed) }) }
        }
    }
}
