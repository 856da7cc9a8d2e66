import Base
import Storage

/// Writes down what was used, interval by interval: one line for each account that used anything.
///
/// The order of things is what makes it count once and lose nothing, wherever the process ends:
///
///     1  read the counters of a slot; what grew since its shadow becomes a line
///     2  append the lines of all slots and wait until they are on the disk
///     3  move the shadows to what the lines say
///     4  note that all lines up to the last are in the shadows
///
/// After an end before 2 is over the counters still hold what no line says. After one between 2 and 4 the ledger holds
/// lines that the shadows may not know: `recover` finds them behind the noted place and finishes 3 from the totals that
/// each line carries, which may be done any number of times. Lines are on the disk before a shadow is, so a shadow never
/// knows of a line that does not exist, unless somebody cut the file: then the shadows go back to the totals of the last
/// lines that are left, and what was cut off is written again.
///
/// One thread has it. A failed write changes nothing but the time at which the same is tried again.
public final class Ledger<Table: UsageTable> {
    let table: Table
    let journal: Journal
    /// The names and numbers of this opening.
    let node: UInt32
    let epoch: UInt64
    var sequence: UInt64 = 0
    /// End of the last interval that was turned into lines.
    var closed: UInt64
    /// Intervals that could not be written and end with their hour: they may not be mixed with what comes after.
    private var waiting: [Batch] = []
    /// Shadows as the waiting lines leave them, by slot.
    private var ahead: [Int: Shadow] = [:]
    private var lastCheckpoint: UInt64
    /// Requests that were admitted and are not in the ledger, as of the last try: zero when it succeeded.
    public private(set) var unwritten: UInt64 = 0

    /// Lines of one interval, and where they leave the shadows.
    struct Batch {
        var day: UInt64
        var from: UInt64
        var to: UInt64
        /// Of one that waits.
        var lines: [UInt8] = []
        var bytes = 0
        var moves: [(slot: Table.Slot, shadow: Shadow)] = []
        var admitted: UInt64 = 0
        /// The sequence number of its last line.
        var after: UInt64
        /// Place of its first line.
        var firstPlace: UInt64 = 0
    }

    /// What one closing did.
    public struct Closing: Sendable, Equatable {
        public var lines = 0
        public var bytes = 0
        /// What was cut off a file that had to be opened.
        public var cut: Journal.Cut?
        /// The clock went back by so many nanoseconds, too far to wait for.
        public var clockWentBack: UInt64?
        /// The lines are written, but after a power cut more of them would have to be read again.
        public var checkpointFault: StorageFault?
        public init() {}
    }

    /// Lines on their way to the file. So few at a time that they do not leave the processor's caches on it, and that a
    /// hundred thousand accounts take no memory worth mentioning.
    private var piece: [UInt8] = []
    private static var pieceSize: Int { 128 << 10 }
    /// Bytes of lines that may wait for a disk, beside the counters themselves.
    private static var waitingMax: Int { 64 << 20 }
    private static var checkpointPeriod: UInt64 { 60 * Timestamp.second }
    /// An hour that ended so recently is the interval's end: timers are never exact. Requests admitted in that time are
    /// told apart (`UsageTable.early`).
    public static var lateness: UInt64 { 5 * Timestamp.second }

    init(table: Table, journal: Journal, node: UInt32, epoch: UInt64, closed: UInt64) {
        (self.table, self.journal, self.node, self.epoch, self.closed) = (table, journal, node, epoch, closed)
        lastCheckpoint = closed
    }

    /// The same of a ledger that can't be opened: what was counted since the last line.
    public static func unwritten(in table: Table) -> UInt64 {
        var sum: UInt64 = 0
        table.forEachAccount { slot in
            if table.account(of: slot).key != nil { return }
            let (counted, said) = (table.counters(of: slot)[.admitted], Shadow(table, slot).counters[.admitted])
            if counted > said { sum &+= counted - said }
        }
        return sum
    }

    /// End of the last interval that is in the ledger, whoever writes it.
    public static func closed(in table: Table) -> UInt64 { LedgerState.closed.value(in: table) }

    // MARK: Closing an interval

    /// Writes what was used since the last time. After an error nothing of it is lost: the next call writes it.
    /// - Parameters:
    ///   - now: nanoseconds since 1970.
    ///   - offset: what that is ahead of the monotonic clock; zero is not known.
    ///   - ended: hours that are over since, in the order of time.
    @discardableResult
    public func close(at now: UInt64, offset: UInt64 = 0, ended: [HourEnd] = []) throws(StorageFault) -> Closing {
        var closing = Closing()
        follow(offset)
        LedgerState.tried.store(now, in: table)
        let end = end(at: now, &closing)
        let hours = ended.filter { $0.holds(by: offset) && $0.time > closed && $0.time <= end }
        var intervals: [(end: UInt64, hour: HourEnd?)] = hours.map { ($0.time, $0) }
        if hours.last?.time != end { intervals.append((end, nil)) }
        do throws(StorageFault) {
            while let first = waiting.first {
                try begin(first, &closing)
                try journal.write(first.lines)
                try commit(first, &closing)
                waiting.removeFirst()
            }
            while let (end, hour) = intervals.first {
                try writeInterval(to: end, hour, &closing)
                closed = end
                LedgerState.closed.store(end, in: table)
                ahead = [:]
                intervals.removeFirst()
            }
        } catch {
            for (end, hour) in intervals { hold(until: end, hour) }
            throw error
        }
        unwritten = 0
        if closed >= lastCheckpoint + Self.checkpointPeriod { closing.checkpointFault = checkpoint() }
        return closing
    }

    /// The time that is believed was set: the interval under way did not begin when it was thought to.
    func follow(_ offset: UInt64) {
        if offset == 0 { return }
        let before = LedgerState.offset.value(in: table)
        let step = Int64(bitPattern: offset &- before)
        LedgerState.offset.store(offset, in: table)
        guard before != 0, step.magnitude > Timestamp.second else { return }
        closed = UInt64(clamping: Int64(clamping: closed) &+ step)
        LedgerState.closed.store(closed, in: table)
    }

    /// All that was counted until now is in the ledger: the next interval begins here, however long nobody counted.
    func begin(at now: UInt64) {
        closed = max(closed, now - now % 1_000_000)
        LedgerState.closed.store(closed, in: table)
    }

    /// The end of the interval: now, or the hour that has just ended; never before the last one's.
    private func end(at now: UInt64, _ closing: inout Closing) -> UInt64 {
        let now = now - now % 1_000_000
        if now < closed {
            // It was wrong: what comes is of now. Days that were added up get lines again, and so do their sums.
            closing.clockWentBack = closed - now
            closed = now
        }
        let end = max(now, closed)
        let hour = end - end % Timestamp.hour
        return hour > closed && end - hour < Self.lateness ? hour : end
    }

    /// Everything that began before it is in the files.
    public var written: UInt64 { waiting.first?.from ?? closed }

    /// Writes what was used until now, as it is read.
    private func writeInterval(to end: UInt64, _ hour: HourEnd?, _ closing: inout Closing) throws(StorageFault) {
        var begun = false
        let batch = try prepare(to: end, hour) { (batch, lines) throws(StorageFault) in
            if !begun { try begin(batch, &closing) }
            begun = true
            try journal.write(lines)
        }
        if begun { try commit(batch, &closing) }
    }

    /// What was used until now, or until the end of an hour that was read then. Lines go to `write` piece by piece.
    private func prepare(
        to end: UInt64, _ hour: HourEnd? = nil, write: (Batch, [UInt8]) throws(StorageFault) -> Void
    ) throws(StorageFault) -> Batch {
        var batch = Batch(
            day: closed - closed % Timestamp.day, from: closed, to: end, after: sequence)
        let dayBefore = waiting.last?.day ?? LedgerState.lastDay.day(in: table)
        var fault: StorageFault?
        var piece: [UInt8] = []
        swap(&piece, &self.piece)
        piece.removeAll(keepingCapacity: true)
        defer { swap(&piece, &self.piece) }
        func flush() {
            do throws(StorageFault) {
                if fault == nil { try write(batch, piece) }
            } catch {
                fault = error
            }
            piece.removeAll(keepingCapacity: true)
        }
        table.forEachAccount { slot in
            if fault != nil { return }
            let index = table.index(of: slot)
            let then = hour?.slots[index]
            if hour != nil, then == nil { return }
            // Before its counters: what is not in flight now has been counted.
            let isOver = hour == nil && table.isRetired(slot) && table.inFlight(of: slot) == 0
            var counters = then?.counters ?? table.counters(of: slot)
            var shadow = Shadow(table, slot)
            if let ahead = ahead[index] { shadow = ahead }
            if !counters.isAtLeast(shadow.counters) {
                if hour != nil { return }
                // The table's file was cut short, and the counters came back older than what is written of them.
                table.raise(slot, from: counters, to: shadow.counters)
                counters = table.counters(of: slot)
            }
            // Read after the counters: what is in them was counted as early before.
            let early = then?.early ?? table.early(of: slot)
            var later: UInt64 = 0
            if end % Timestamp.hour == 0 {
                // The hour is over, and those came after it: they are for the next line.
                later = min(early &- min(shadow.early, early), counters[.admitted] &- shadow.counters[.admitted])
                counters[.admitted] &-= later
            }
            if counters == shadow.counters {
                if isOver, waiting.isEmpty, later == 0 { release(slot, shadow) }
                return
            }
            shadow.early = early
            batch.after += 1
            let before = piece.count
            let id = RecordID(node: node, epoch: epoch, sequence: batch.after)
            let usage = Usage(from: shadow.counters, to: counters)
            UsageRecord(
                id: id, account: table.account(of: slot), from: batch.from, to: end, usage: usage,
                inFlight: then?.inFlight ?? table.inFlight(of: slot), totals: counters,
                dayBefore: batch.moves.isEmpty && dayBefore != batch.day ? dayBefore : nil,
                before: batch.after == 1 ? LedgerState.last.id(of: node, in: table) : nil
            ).write(to: &piece)
            batch.bytes += piece.count - before
            if batch.moves.isEmpty { batch.firstPlace = id.place }
            shadow.counters = counters
            shadow.last = id.place
            if shadow.first == 0 { shadow.first = id.place }
            batch.moves.append((slot, shadow))
            batch.admitted &+= usage.admitted
            if piece.count >= Self.pieceSize { flush() }
        }
        if !piece.isEmpty { flush() }
        if let fault { throw fault }
        return batch
    }

    /// The table may forget it: that lines up to its last one may be of somebody unknown is noted before.
    private func release(_ slot: Table.Slot, _ shadow: Shadow) {
        LedgerState.released.store(max(LedgerState.released.value(in: table), shadow.last), in: table)
        table.release(slot)
    }

    /// The file of the batch's day takes its lines from now on.
    private func begin(_ batch: Batch, _ closing: inout Closing) throws(StorageFault) {
        let name = LedgerFile(day: batch.day).path
        let isThere = try journal.contains(name)
        if !isThere || LedgerState.fileDay.value(in: table) != batch.day {
            LedgerState.fileFirst.store(batch.firstPlace, in: table)
            LedgerState.fileDay.store(batch.day, in: table)
        }
        if let cut = try journal.begin(name) { closing.cut = cut }
    }

    /// All of its lines are written: waits until they are on the disk, and moves the shadows.
    private func commit(_ batch: Batch, _ closing: inout Closing) throws(StorageFault) {
        try journal.commit()
        // More may be numbered already, and wait.
        sequence = max(sequence, batch.after)
        for (slot, shadow) in batch.moves { shadow.store(in: table, slot) }
        LedgerState.closed.store(batch.to, in: table)
        if !batch.moves.isEmpty { LedgerState.lastDay.store(batch.day, in: table) }
        let last = RecordID(node: node, epoch: epoch, sequence: batch.after).place
        if !batch.moves.isEmpty { LedgerState.last.store(last, in: table) }
        LedgerState.noted.store(last, in: table)
        closing.lines += batch.moves.count
        closing.bytes += batch.bytes
    }

    /// After a failure: what ends with an hour is kept as it is, anything else is made anew with what comes.
    private func hold(until end: UInt64, _ hour: HourEnd?) {
        var lines: [UInt8] = []
        guard var batch = try? prepare(to: end, hour, write: { lines += $1 }) else { return }
        batch.lines = lines
        unwritten = batch.admitted &+ waiting.reduce(0) { $0 &+ $1.admitted }
        guard batch.to % Timestamp.hour == 0, batch.to > batch.from, !batch.moves.isEmpty,
            waiting.reduce(batch.lines.count, { $0 + $1.lines.count }) < Self.waitingMax
        else { return }
        for (slot, shadow) in batch.moves { ahead[table.index(of: slot)] = shadow }
        waiting.append(batch)
        sequence = batch.after
        closed = batch.to
    }

    /// Makes sure that a power cut finds shadows no older than this.
    private func checkpoint() -> StorageFault? {
        lastCheckpoint = closed
        let noted = LedgerState.noted.value(in: table)
        do throws(StorageFault) {
            try table.sync()
        } catch {
            return error
        }
        LedgerState.checkpoint.store(noted, in: table)
        return nil
    }
}
