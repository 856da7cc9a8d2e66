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

    /// What the clocks say.
    struct Reading {
        var monotonic: UInt64
        /// What the time that is known is ahead of the monotonic clock.
        var offset: UInt64
        /// The same of the time that is going to be believed, where nothing is yet since the boot.
        var expectedOffset: UInt64
        /// Nothing is ended by a clock that is doubted.
        var isDoubtful: Bool
        /// No clock is believed yet since the boot: what is written for good waits.
        var isStarting: Bool

        /// Nanoseconds since 1970. What is not over by it is not over.
        var time: UInt64 { monotonic &+ offset }
    }

    /// Nanoseconds since 1970, by both clocks as they stand now. From any thread; at least once a second.
    @discardableResult
    func now() -> UInt64 { observe().time }

    func observe() -> Reading {
        trusted.withLock { trusted in
            let now = Clock.closeMoment()
            let before = trusted.offset
            let event = trusted.observe(now)
            table.setCalendar(trusted, monotonic: now.monotonic)
            if Int64(bitPattern: trusted.offset &- before).magnitude > TrustedTime.tolerance {
                wasSet.store(true, ordering: .releasing)
            }
            if let event { tell(event) }
            return Reading(
                monotonic: now.monotonic, offset: trusted.knownOffset, expectedOffset: trusted.expectedOffset,
                isDoubtful: trusted.isDoubtful, isStarting: trusted.isStarting)
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
        case .believed(let nanoseconds): Console.log("clock: is believed; quotas and ledger go \(seconds(nanoseconds))")
        case .unset:
            Console.log(
                "clock: was never set, or finds no rest; quotas and ledger go on by the time before the boot, and nothing is closed")
        }
    }
}
