import Base
import CLinux
import Configuration
import Glibc
import Metering
import Metrics
import Net
import Storage
import Synchronization

/// The ledger's thread: closes an interval now and then, tries again what a disk refused, and closes a last one at the
/// end. Nobody waits for it but who ends the process.
final class LedgerKeeper: Sendable {
    private struct State {
        var settings: LedgerSettings
        /// What tenants are charged by since a moment, by the monotonic clock.
        var terms: (tenants: [TenantSettings], since: UInt64)
        /// What the time that they are noted by is ahead of that clock; nil while they are not.
        var noted: UInt64?
        var isEnding = false
        /// Whoever had the ledger has let it go.
        var isFree = false
        var thread: Thread?
        var isRollingUp = false
        /// The end of the last interval that is in the ledger.
        var written: UInt64 = 0
        /// When the next rollup is due, in the ledger's time.
        var nextRollup: UInt64 = 0
    }

    private let meters: MeterKeeper
    private let time: TimeKeeper
    private let hours: HourWatch
    private let folder: StateFolder
    private let metrics: LedgerMetrics
    private let state: Mutex<State>
    /// Wakes the thread.
    private let wake = Bell()
    /// Rings once the thread has opened the ledger, or tried to.
    private let opened = Bell()

    init(
        meters: MeterKeeper, time: TimeKeeper, state folder: StateFolder, settings: HotSettings, metrics: LedgerMetrics
    ) {
        (self.meters, self.time, self.folder, self.metrics) = (meters, time, folder, metrics)
        hours = HourWatch(meters.table, time: time)
        state = Mutex(State(settings: settings.ledger, terms: (settings.tenants, Clock.monotonic())))
    }

    /// Returns when what an earlier process left half done is finished, so that no new request is counted before. With
    /// a disk that can't be written it returns too: then that is done when it can.
    func start() throws(SystemError) {
        let thread = try Thread("ledger", isBackground: true) { [self] in run() }
        state.withLock { $0.thread = thread }
        try hours.start()
        opened.wait()
    }

    /// A reload.
    func adopt(_ settings: HotSettings) {
        state.withLock { state in
            (state.settings, state.terms, state.noted) = (settings.ledger, (settings.tenants, Clock.monotonic()), nil)
        }
        wake.ring()
    }

    /// Another process may have had the ledger, and has let it go.
    func hurry() {
        state.withLock { $0.isFree = true }
        wake.ring()
    }

    private func takeFree() -> Bool {
        state.withLock { state in
            defer { state.isFree = false }
            return state.isFree
        }
    }

    /// Closes a last interval. When it returns the ledger says all that was counted, or the log says why not.
    func finish() {
        let thread = state.withLock { state in
            state.isEnding = true
            defer { state.thread = nil }
            return state.thread
        }
        wake.ring()
        thread?.join()
        hours.finish()
    }

    // MARK: The thread

    private static let patience: UInt64 = 1_000_000_000

    private func run() {
        var ledger: Ledger<MeterTable>?
        var trouble = Trouble("ledger")
        var doubt = Trouble("ledger")
        var isWell = open(&ledger, &trouble)
        opened.ring()
        if ledger != nil { noteTerms() }
        while true {
            let (settings, isEnding) = state.withLock { ($0.settings, $0.isEnding) }
            // Whoever waits for another to end does not wait long after that.
            let interval = ledger == nil ? min(settings.interval, Self.patience) : settings.interval
            if !isEnding, wait(interval), !takeFree() { continue }
            if ledger == nil { isWell = open(&ledger, &trouble) }
            if let ledger { close(ledger, &trouble, &doubt) }
            if ledger != nil { noteTerms() } else {
                metrics.setUnflushed(isWell ? 0 : Ledger.unwritten(in: meters.table))
            }
            if isEnding { return }
            if let ledger {
                state.withLock { $0.written = ledger.written }
                rollUp(settings)
            }
        }
    }

    /// Until the next interval is over; true when something else is up.
    private func wait(_ interval: UInt64) -> Bool {
        let now = time.now()
        // At whole multiples of the interval, and at each hour: rows by hour are exact then.
        let end = min(now - now % interval + interval, now - now % Timestamp.hour + Timestamp.hour)
        return wake.wait(atMost: end - now + 1_000_000)
    }

    /// Once a day has ended, on a thread of its own: a day may be long to read. After a failure at the next hour.
    private func rollUp(_ settings: LedgerSettings) {
        guard Period(rawValue: settings.rollup.rawValue) != nil, !time.observe().isDoubtful else { return }
        let begins = state.withLock { state in
            guard !state.isRollingUp, state.nextRollup <= state.written else { return false }
            state.isRollingUp = true
            return true
        }
        guard begins else { return }
        do throws(SystemError) {
            try Thread("rollup", isBackground: true) { [self] in rollUpInTurn() }.detach()
        } catch { rolledUp(state.withLock(\.written), fault: error) }
    }

    private func rollUpInTurn() {
        var written = state.withLock(\.written)
        do throws(StorageFault) {
            let ledger = LedgerFolder(folder.ledgerPath)
            let tell = { (path: String) in
                Console.log("ledger: waits for its turn to add up what is over; another process has \(path)")
            }
            let report = try Rollup.run(in: ledger, waits: tell) { () throws(StorageFault) in
                let settings = state.withLock { state in
                    written = state.written
                    return state.settings
                }
                guard let finest = Period(rawValue: settings.rollup.rawValue), !time.observe().isDoubtful else { return nil }
                let rollup = Rollup(
                    ledger, finest: finest, parted: try TermsBook(folder.path).partedMonths, retention: settings.retention,
                    compression: settings.compression)
                return Rollup.Task(rollup: rollup, closed: written, memory: folder.ledgerMemory)
            }
            guard let report else { return state.withLock { $0.isRollingUp = false } }
            let count = report.written.count + report.removed.count
            if count > 0 {
                Console.log(
                    "ledger: \(report.written.count) files of sums written, "
                        + "\(report.removed.count) files of intervals removed")
            }
            if !report.compressed.isEmpty { Console.log("ledger: days compressed: \(report.compressed.count)") }
            if let fault = report.notCompressed {
                Console.log("ledger: can't compress what is old, it is kept as it is: \(fault)")
            }
            for damage in report.damage {
                Console.log("ledger: \(damage); nothing of that time is added up or removed")
            }
            try look(written)
            rolledUp(written)
        } catch { rolledUp(written, fault: error) }
    }

    /// What of the last weeks is damaged: earlier ones may be long to read, and `gateway ledger verify` reads them.
    private func look(_ written: UInt64) throws(StorageFault) {
        let from = written - min(written, Self.lookedAt)
        let check = try LedgerCheck(LedgerFolder(folder.ledgerPath), memory: folder.ledgerMemory, from: from)
        for damage in check.damage { Console.log("ledger: damaged: \(damage)") }
        metrics.setDamaged(UInt64(check.damage.reduce(0) { $0 + $1.lines }))
    }

    private static let lookedAt: UInt64 = 40 * Timestamp.day

    private func rolledUp(_ written: UInt64, fault: (any Error)? = nil) {
        if let fault { Console.log("ledger: can't add up what is over: \(fault)") }
        let next = fault == nil ? Period.day.bounds(of: written).upperBound : written + Timestamp.hour
        state.withLock { state in (state.isRollingUp, state.nextRollup) = (false, next) }
    }

    /// Which tenant has which plan and prices, whenever that or the time that is believed has changed: invoices go by it.
    private func noteTerms() {
        let reading = time.observe()
        if reading.isStarting { return }
        let terms: (tenants: [TenantSettings], since: UInt64)? = state.withLock { state in
            state.noted = state.noted.flatMap { TrustedTime.isNear($0, reading.offset) ? reading.offset : nil }
            return state.noted == nil ? state.terms : nil
        }
        guard let terms else { return }
        let tenants = Dictionary(terms.tenants.map { ($0.id, TenantTerms($0)) }) { $1 }
        do throws(StorageFault) {
            var book = try folder.termsBook
            try book.note(tenants, at: terms.since &+ reading.offset, in: Journal(folder: folder.path))
            book.remember(in: meters.table)
            // Unless another reload came meanwhile.
            state.withLock { if $0.terms.since == terms.since { $0.noted = reading.offset } }
        } catch { Console.log("ledger: can't note plans and prices, tries again: \(error)") }
    }

    /// False where it can't be: another process may have it, and then nothing is wrong.
    private func open(_ ledger: inout Ledger<MeterTable>?, _ trouble: inout Trouble) -> Bool {
        let interval = state.withLock { $0.settings.interval }
        do throws(StorageFault) {
            let journal = try Journal(folder: folder.ledgerPath)
            let now = time.observe()
            guard
                let found = try Ledger.open(
                    table: meters.table, journal: journal, now: now.time, offset: now.offset, isStarting: now.isStarting,
                    interval: interval)
            else {
                trouble.say("another process writes it; this one will when that one has ended")
                return true
            }
            ledger = found.ledger
            for notice in found.recovery.notices { Console.log(notice) }
            trouble.end("taken over")
            return true
        } catch {
            trouble.say("\(error); the meters go on counting")
            return false
        }
    }

    private func close(_ ledger: Ledger<MeterTable>, _ trouble: inout Trouble, _ doubt: inout Trouble) {
        meters.mend()
        let start = Clock.monotonic()
        let now = time.observe()
        if now.isStarting { return wait(&trouble, &doubt) }
        doubt.end("goes on")
        do throws(StorageFault) {
            let closing = try ledger.close(at: now.time, offset: now.offset, ended: hours.take())
            if closing.lines > 0 { metrics.flushed(nanoseconds: Clock.monotonic() - start) }
            if let cut = closing.cut {
                Console.log("ledger: \(cut.bytes) bytes behind the last good line of \(cut.file) were cut off")
            }
            if let back = closing.clockWentBack {
                Console.log("ledger: the clock went back by \(back / 1_000_000_000) s")
            }
            if let fault = closing.checkpointFault { Console.log("meters: \(fault)") }
            trouble.end("has caught up")
        } catch {
            trouble.say("\(error); the meters go on counting")
        }
        meters.remember()
        metrics.setUnflushed(ledger.unwritten)
    }

    /// Which day it is nobody knows since the boot: what is counted stays in the meters, and those on the disk.
    private func wait(_ trouble: inout Trouble, _ doubt: inout Trouble) {
        doubt.say(
            "waits until the clock is believed, \(TrustedTime.settling / 1_000_000_000) s after it was last set; "
                + "the meters go on counting")
        do throws(StorageFault) {
            try meters.table.sync()
            trouble.end("has caught up")
        } catch { trouble.say("\(error); the meters go on counting") }
        meters.remember()
        metrics.setUnflushed(Ledger.unwritten(in: meters.table))
    }
}
