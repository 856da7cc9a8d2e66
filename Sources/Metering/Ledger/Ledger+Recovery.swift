import Storage

/// What an opening found half done or damaged, and what it did about it.
public struct Recovery: Sendable, Equatable {
    /// Lines that stood in the ledger and that the table did not know yet: the process ended between the two.
    public var noted = 0
    /// Accounts whose counters were behind the ledger, after a power cut. They were raised to what it says.
    public var raised = 0
    /// Accounts of which the ledger had lost lines. What they used in them is written again.
    public var rewound = 0
    /// Accounts of which the ledger has lost lines and no earlier one was found to go by.
    public var unknown = 0

    public init() {}

    /// The same, in words; empty where there is nothing to say.
    public var notices: [String] {
        func count(_ number: Int, _ one: String, _ many: String) -> String { "\(number) \(number == 1 ? one : many)" }
        var notices: [String] = []
        if noted > 0 {
            notices.append("ledger: \(count(noted, "line", "lines")) written before the last end noted in the meters")
        }
        if raised > 0 {
            notices.append(
                "ledger: the meters of \(count(raised, "account", "accounts")) were older than the ledger and were raised to it"
            )
        }
        if rewound > 0 {
            notices.append(
                "ledger: lines of \(count(rewound, "account", "accounts")) are missing from its end; their usage is written again"
            )
        }
        if unknown > 0 {
            notices.append(
                "ledger: lines of \(count(unknown, "account", "accounts")) are missing from its end, and there is none before them "
                    + "to go by; their usage in those lines is not written again")
        }
        return notices
    }
}

extension Ledger {
    /// Takes over the ledger and finishes what an earlier end left half done. nil while another process has it.
    ///
    /// - Parameters:
    ///   - now: nanoseconds since 1970.
    ///   - offset: what that is ahead of the monotonic clock; zero is not known.
    ///   - isStarting: no clock is believed in this boot yet, and what was counted in it waits.
    ///   - interval: the time between two closings: what a dead process counted and did not write was used within one
    ///     interval after its last try.
    public static func open(
        table: Table, journal: Journal, now: UInt64, offset: UInt64 = 0, isStarting: Bool = false, interval: UInt64
    ) throws(StorageFault) -> (ledger: Ledger, recovery: Recovery)? {
        guard try journal.lock() else { return nil }
        if LedgerState.node.value(in: table) == 0 {
            LedgerState.node.store(UInt64(UInt32.random(in: .min ... .max)) | 1 << 32, in: table)
        }
        let node = UInt32(truncatingIfNeeded: LedgerState.node.value(in: table))
        var recovery = Recovery()
        let isSameBoot = table.boot != 0 && LedgerState.boot.value(in: table) == table.boot
        if !isSameBoot { LedgerState.offset.store(offset, in: table) }
        let tail = try LedgerTail(journal, node: node, after: noted(in: table))
        let known = LedgerState.closed.value(in: table)
        // A place that was given once is never given again, not even when the table forgot about it.
        let epoch = max(
            table.epoch, LedgerState.epoch.value(in: table) + 1, RecordID(node: node, place: tail.last).epoch + 1)
        LedgerState.epoch.store(epoch, in: table)
        // Lines that the table doesn't know of end later than it knows. Of those that it knows, one that was written by a clock
        // that was ahead ends later than all that was closed since.
        let isBehind = tail.last > LedgerState.noted.value(in: table)
        try note(tail, in: table, &recovery)
        let end = try rewind(behind: tail, journal, in: table, &recovery)
        // What was cut off is written again, and is missed no more; what was taken away whole is.
        LedgerState.last.store(end ?? max(LedgerState.last.value(in: table), tail.last), in: table)
        let start = RecordID(node: node, epoch: epoch, sequence: 0).place
        LedgerState.noted.store(start, in: table)
        // Of a table from before it was remembered all lines so far may be of somebody unknown.
        if LedgerState.released.value(in: table) == 0 {
            LedgerState.released.store(known == 0 && tail.last == 0 ? 1 : start, in: table)
        }
        let closed = isBehind || known == 0 ? max(known, tail.closed) : known
        LedgerState.closed.store(closed == 0 ? now : closed, in: table)
        try table.sync()
        LedgerState.checkpoint.store(start, in: table)
        LedgerState.boot.store(table.boot, in: table)
        let ledger = Ledger(
            table: table, journal: journal, node: node, epoch: epoch, closed: closed == 0 ? now : closed)
        if closed > 0, !(isStarting && isSameBoot) {
            ledger.follow(offset)
            let end = min(now, max(ledger.closed, LedgerState.tried.value(in: table)) + interval)
            // Where it fails, the first closing after this tries again.
            do throws(StorageFault) {
                try ledger.close(at: end, offset: offset)
                ledger.begin(at: now)
            } catch {}
        }
        return (ledger, recovery)
    }

    /// Up to where the shadows are known to be right.
    private static func noted(in table: Table) -> UInt64 {
        let isSameBoot = LedgerState.boot.value(in: table) == table.boot
        return (isSameBoot ? LedgerState.noted : LedgerState.checkpoint).value(in: table)
    }

    /// Moves shadows to what the lines behind the noted place say.
    private static func note(_ tail: LedgerTail, in table: Table, _ recovery: inout Recovery) throws(StorageFault) {
        if tail.lines.isEmpty { return }
        recovery.noted = tail.count
        if let last = tail.lines.values.max(by: { $0.id.place < $1.id.place }) {
            LedgerState.lastDay.store(last.from - last.from % Timestamp.day, in: table)
        }
        table.forEachAccount { slot in
            guard let line = tail.lines[table.account(of: slot)] else { return }
            let counters = table.counters(of: slot)
            if !counters.isAtLeast(line.totals) {
                table.raise(slot, from: counters, to: line.totals)
                recovery.raised += 1
            }
            var shadow = Shadow(table, slot)
            shadow.counters = line.totals
            shadow.early = table.early(of: slot)
            shadow.last = line.id.place
            if shadow.first == 0 { shadow.first = line.id.place }
            shadow.store(in: table, slot)
        }
    }

    /// Whether the intervals of a day, or its sums, are in the folder.
    private static func isThere(_ day: UInt64, in journal: Journal) throws(StorageFault) -> Bool {
        for level in [nil] + Period.allCases.map(Optional.some) {
            if try journal.contains(LedgerFile(day: day, level: level).path) { return true }
        }
        return try journal.contains(LedgerFile(day: day).compressed.path)
    }

    /// Moves shadows back that know of lines which are not there, or whose words do not belong together.
    /// - Returns: where the ledger ends; nil where the file last written to is not there.
    private static func rewind(
        behind tail: LedgerTail, _ journal: Journal, in table: Table, _ recovery: inout Recovery
    ) throws(StorageFault) -> UInt64? {
        // What ends the ledger, unless the file last written to was taken away whole, with everything that it said.
        let fileDay = LedgerState.fileDay.value(in: table)
        var end = UInt64.max
        if fileDay > 0, try isThere(fileDay, in: journal) {
            end = tail.last > 0 ? tail.last : max(LedgerState.fileFirst.value(in: table), 1) - 1
        }
        var lost: [Account: (slot: Table.Slot, shadow: Shadow, isIntact: Bool)] = [:]
        table.forEachAccount { slot in
            let shadow = Shadow(table, slot)
            let isIntact = shadow.isIntact(in: table, slot)
            if shadow.last > end || !isIntact { lost[table.account(of: slot)] = (slot, shadow, isIntact) }
        }
        let known = end == .max ? nil : tail.last
        if lost.isEmpty { return known }
        let earlier = try LedgerTail.lastLines(of: Set(lost.keys), in: journal, node: tail.node)
        for (account, found) in lost {
            var shadow = found.shadow
            let counters = table.counters(of: found.slot)
            if let line = earlier[account], counters.isAtLeast(line.totals) {
                shadow.counters = line.totals
                shadow.last = line.id.place
                recovery.rewound += 1
            } else if found.isIntact, shadow.first > end {
                // Its first line is among those that are lost.
                shadow = Shadow()
                recovery.rewound += 1
            } else {
                if !found.isIntact { shadow.counters = counters }
                shadow.last = min(shadow.last, end)
                recovery.unknown += 1
            }
            shadow.store(in: table, found.slot)
        }
        return known
    }
}
