import Base
import Metering
import Net
import Storage
import Synchronization

/// Reads what all accounts have counted when an hour is over and the ledger's thread has not: a disk may keep it waiting
/// over the end of a day or a month. It waits for nothing but the hour.
final class HourWatch: Sendable {
    private struct State {
        var ends: [HourEnd] = []
        var isEnding = false
        var thread: Thread?
    }

    private let table: MeterTable
    private let time: TimeKeeper
    private let state = Mutex(State())
    private let wake = Bell()

    /// Nanoseconds that the ledger has to end the hour itself.
    private static let patience: UInt64 = 300_000_000
    /// Nanoseconds after which it looks at the clock again: somebody may have set it.
    private static let period: UInt64 = 60 * Timestamp.second
    /// Hours that may wait for a disk: their counters take memory. Of more the ends of days are kept.
    private static let most = 4

    init(_ table: MeterTable, time: TimeKeeper) { (self.table, self.time) = (table, time) }

    func start() throws(SystemError) {
        let thread = try Thread("hours", isBackground: true) { [self] in run() }
        state.withLock { $0.thread = thread }
    }

    func finish() {
        let thread = state.withLock { state in
            state.isEnding = true
            defer { state.thread = nil }
            return state.thread
        }
        wake.ring()
        thread?.join()
    }

    /// Those that were read since, in the order of time.
    func take() -> [HourEnd] {
        state.withLock { state in
            defer { state.ends = [] }
            return state.ends
        }
    }

    private func run() {
        var last: UInt64 = 0
        while !state.withLock({ $0.isEnding }) {
            let reading = time.observe()
            let now = reading.monotonic &+ reading.expectedOffset
            let hour = now - now % Timestamp.hour
            let since = now - hour
            if since >= Self.patience, since < Ledger<MeterTable>.lateness, hour != last {
                last = hour
                if reading.isStarting || Ledger.closed(in: table) < hour {
                    keep(HourEnd(table, time: hour, offset: reading.expectedOffset))
                }
            }
            let pause = since < Self.patience ? Self.patience - since : Timestamp.hour + Self.patience - since
            wake.wait(atMost: min(pause, Self.period))
        }
    }

    private func keep(_ end: HourEnd) {
        state.withLock { state in
            if state.ends.count >= Self.most {
                let least = state.ends.firstIndex { $0.time % Timestamp.day != 0 } ?? state.ends.count - 1
                state.ends.remove(at: least)
            }
            state.ends.append(end)
        }
    }
}
