import Base
import Synchronization

/// A file that is cut short under a running gateway (`> state/meters`, a tool that rotates what it should not) loses what
/// stood behind the cut: those pages are gone from memory as well. Nobody can keep others from doing that, so this process
/// remembers: a copy of all slots that somebody has, taken once in a while. From it comes back who has which slot, what
/// the ledger has written of each, and what quotas had left.
///
/// A counter comes back as what it was in the copy, or has been written of it since, and what was counted since the loss
/// on top: what is missing then was counted between the two, within a few seconds; and of the few slots on the very page
/// of the cut what was counted in the second until it is mended. What the ledger has written of a slot is in the copy as
/// soon as it is in the slot: so no request is ever written twice.
extension MeterTable {
    /// A file that was cut short.
    public struct Loss: Sendable, Equatable {
        /// The byte at which it ended.
        public var from: Int
        /// Tenants, keys and routes that lost something.
        public var slots: Int
    }

    /// Remembers how things stand. Not what was lost a moment ago: that is for `mend`.
    public func keepCopy() {
        names.withLock { names in
            let header = (0..<Self.headerSize / 8).map { self.header[$0].load() }
            if pages.isWhole { names.header = header }
            for first in stride(from: 0, to: names.capacity, by: Self.keptAtOnce) {
                keep(first..<min(first + Self.keptAtOnce, names.capacity))
            }
        }
    }

    /// Slots that are read before the file's length is looked at.
    private static let keptAtOnce = 64

    /// Under the lock.
    func keep(_ slots: Range<Int>) {
        // Written whole before it is read: the words of all of these slots.
        unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: slots.count * Meter.words) { room in
            for (place, index) in slots.enumerated() {
                let meter = meter(index)
                for word in 0..<Meter.words {
                    unsafe room[place * Meter.words + word] = meter[word].load()
                }
            }
            // It was lost while it was read.
            guard pages.isWhole else { return }
            for (place, index) in slots.enumerated() {
                // A free slot's place in the copy stays memory that nobody has touched.
                let words = unsafe UnsafeMutableBufferPointer(rebasing: room[place * Meter.words..<(place + 1) * Meter.words])
                if unsafe Meter.Head(words[Meter.Cell.state.word]).state == .free { continue }
                let copy = copy(of: meter(index))
                for word in 0..<Meter.words { copy[word].store(unsafe words[word]) }
            }
        }
    }

    /// Sets a word that is the ledger's.
    public func setLedgerWord(_ word: Int, of meter: Meter, to value: UInt64) {
        copy(of: meter).store(value, to: .ledger(word))
        meter.store(value, to: .ledger(word))
    }

    /// Puts back what was lost. Called now and then, and before the ledger reads. What to tell, once; an error for as long
    /// as it can't be done: meanwhile counting goes on, and no slot is given out.
    public func mend() throws(StorageFault) -> Loss? {
        try names.withLock { names throws(StorageFault) in
            try restore(&names)
            if let loss = names.loss {
                names.loss = nil
                return loss
            }
            try askForPages()
            return nil
        }
    }

    /// Nobody is to be looked for in what was lost. Under the lock.
    func mend(_ names: inout Names) throws(StorageFault) {
        try restore(&names)
        try askForPages()
    }

    private func askForPages() throws(StorageFault) {
        guard pages.privatePages == 0 else {
            throw .damaged(
                "can't be read or written in part, and what is counted there ends with this process; start anew once the "
                    + "disk is well", path: path)
        }
    }

    private func restore(_ names: inout Names) throws(StorageFault) {
        var lost = try pages.makeWhole()
        if isLeaving.load(ordering: .relaxed) {
            // What the ledger has written is known to who took over: it mends.
            if let lost { header[Word.cut].store(UInt64(lost) + 1) }
            if lost != nil { names.wasCut = true }
            if names.wasCut { levelInFlight(names.capacity) }
            return
        }
        let told = header[Word.cut].exchange(0)
        if told > 0 { lost = min(lost ?? .max, Int(told) - 1) }
        if let from = lost {
            restoreHeader(names, from)
            var count = 0
            for index in 0..<names.capacity where restore(meter(index), from) { count += 1 }
            names.loss = Loss(from: min(from, names.loss?.from ?? from), slots: max(count, names.loss?.slots ?? 0))
            names.wasCut = true
        }
        if names.wasCut || names.otherLives { levelInFlight(names.capacity) }
    }

    private func restoreHeader(_ names: Names, _ from: Int) {
        for (word, value) in names.header.enumerated() where isLost(header[word], from) {
            fill(header[word], value, from)
        }
        // These two change whenever a slot is given out, and go by what this process knows.
        header[Word.capacity].raise(to: UInt64(names.capacity))
        header[Word.given].raise(to: names.given)
    }

    /// Whether it had lost anything.
    private func restore(_ meter: Meter, _ from: Int) -> Bool {
        let copy = copy(of: meter)
        // The last of a slot's words to be lost are its first: they stand in front of the block's rest.
        guard isLost(meter[Meter.words - 1], from), copy.head.state != .free else { return false }
        // What the ledger has written comes before what it was written of.
        for word in (0..<Meter.words).reversed() where isLost(meter[word], from) && word != Meter.Cell.state.word {
            let value = copy[word].load()
            switch word {
            // What was in flight is settled by and by: `levelInFlight`.
            case Meter.Cell.inFlight.word, Meter.Cell.leaving.word: break
            case _ where Self.written[word] != nil: add(meter[word], max(value, meter.value(Self.written[word]!)), from)
            case _ where Self.windows.contains(word): addWindow(meter[word], value, from)
            default: fill(meter[word], value, from)
            }
        }
        // Last: who looks for it by its state finds the rest.
        let state = meter[Meter.Cell.state.word]
        if isLost(state, from) { fill(state, copy.value(.state), from) }
        return true
    }

    // MARK: Words

    /// All of it or a part.
    private func isLost(_ word: MappedWord, _ from: Int) -> Bool { place(of: word) + 8 > from }

    /// What a cut within it has left, which means nothing, makes room.
    private func clear(_ word: MappedWord, _ from: Int) {
        if place(of: word) < from { word.store(0) }
    }

    private func add(_ word: MappedWord, _ value: UInt64, _ from: Int) {
        clear(word, from)
        word.add(value)
    }

    /// Where somebody has set it since, that stays.
    private func fill(_ word: MappedWord, _ value: UInt64, _ from: Int) {
        clear(word, from)
        word.replace(0, with: value)
    }

    /// 24 bits of a window's end, 40 bits of what is used in it: of the same window both are.
    private func addWindow(_ word: MappedWord, _ value: UInt64, _ from: Int) {
        let used: UInt64 = 1 << 40 - 1
        fill(word, value & ~used, from)
        let now = word.load()
        if now & ~used == value & ~used { word.add(value & used) }
    }

    /// Where the ledger keeps what it has written of a counter.
    private static let written = Dictionary(
        uniqueKeysWithValues: Meter.Cell.counters.enumerated().map { number, cell in
            (cell.word, Meter.Cell.ledger(Meter.Cell.ledgerCounters + number))
        })
    private static let windows = Set((0..<3).map { Meter.Cell.window($0).word })

    /// What was in flight at a loss counts below zero once it is settled, and a limit would take that for billions.
    private func levelInFlight(_ capacity: Int) {
        let shift = UInt64(32 * lane)
        for index in 0..<capacity {
            let leaving = meter(index).value(.leaving)
            if Int64(bitPattern: leaving) < 0 { meter(index)[Meter.Cell.leaving.word].replace(leaving, with: 0) }
            // The lane is another one's.
            if isLeaving.load(ordering: .relaxed) { continue }
            let here = Int32(truncatingIfNeeded: meter(index).value(.inFlight) >> shift)
            // With its carry: what went below zero took from the other half.
            if here < 0 { meter(index).add(UInt64(here.magnitude) << shift, to: .inFlight) }
        }
    }
}
