import Base
import Metrics
import Storage
import Synchronization

/// Keeps the time of day that quotas and the ledger go by, and says when the wall clock jumps.
final class TimeKeeper: Sendable {
    private let table: MeterTable
    private let metrics: LedgerMetrics
    private let trusted: Mutex<TrustedTime>
    private let wasSet = Atomic<Bool>(false)

    init(_ table: MeterTable, metrics: LedgerMetrics) {
        (self.table, self.metrics) = (table, metrics)
        trusted = Mutex(table.trustedTime)
    }

    /// Nanoseconds since 1970, by both clocks as they stand now. From any thread; at least once a second.
    @discardableResult
    func now() -> UInt64 { observe().time }

    /// Whether what is over by that time is over: nothing is ended by a clock that is doubted.
    func observe() -> (time: UInt64, isDoubtful: Bool) {
        trusted.withLock { trusted in
            let now = Clock.closeMoment()
            let event = trusted.observe(now)
            table.setCalendar(offset: trusted.offset, monotonic: now.monotonic)
            if let event { tell(event) }
            return (trusted.time(at: now.monotonic), trusted.isDoubtful)
        }
    }

    /// Whether time has gone on elsewhere since this was asked the last time.
    func takeWasSet() -> Bool { wasSet.exchange(false, ordering: .acquiringAndReleasing) }

    private func tell(_ event: TrustedTime.Event) {
        func seconds(_ nanoseconds: Int64) -> String {
            let tenths = nanoseconds.magnitude / 100_000_000
            return "\(tenths / 10).\(tenths % 10) s " + (nanoseconds < 0 ? "back" : "forward")
        }
        switch event {
        case .jumped(let nanoseconds):
            metrics.clockJumped()
            Console.log(
                "clock: jumped \(seconds(nanoseconds)); quotas and ledger go on by the time before until it has stood by that "
                    + "for \(TrustedTime.settling / 1_000_000_000) s, and nothing is closed meanwhile")
        case .returned: Console.log("clock: is back where it was")
        case .believed(0): Console.log("clock: has stood by its time since the boot and is believed")
        case .believed(let nanoseconds):
            wasSet.store(true, ordering: .releasing)
            Console.log("clock: is believed; quotas and ledger go \(seconds(nanoseconds))")
        }
    }
}
