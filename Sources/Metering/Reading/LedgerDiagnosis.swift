import Base
import Storage

/// What a whole ledger has lost: which ids are nowhere, of which time their lines were, and what the totals of the lines
/// around them tell of it. It is the same for every question that is asked of the ledger.
///
/// Ids of one opening follow each other without a gap, and the first line of an opening names the line before it. What is
/// missing from the end only the meter table knows. Of which day lines were follows from bad ones in their place, or from
/// the lines around them. A stretch is made good when of every account that there was the totals are known on both sides of
/// it, or when each of its lines is accounted for.
struct LedgerDiagnosis {
    /// Lines that are nowhere.
    struct Loss {
        var node: UInt32
        /// Places of the first and the last.
        var first: UInt64
        var last: UInt64
        /// False where an opening ends, of which nobody knows whether there was anything behind its last line.
        var isDefinite: Bool
        /// When they began.
        var window: ClosedRange<UInt64> = LedgerDiagnosis.always
        var isProven = false
        /// Each of its lines is accounted for.
        var isCounted = false
        /// All ids of which the lines that tell what was used in it may have been; nil where that is not known.
        var ids: RecordRanges?
        /// What says that they are missing, or stands in their place.
        var names: [LedgerDamage] = []
        fileprivate var runs: [Evidence] = []
        fileprivate var silent: String?

        var count: Int { isDefinite ? Int(last - first) + 1 : 1 }
    }
    /// Bad lines that stand in the place of lost ones.
    fileprivate struct Evidence {
        var span: Range<UInt64>
        var count: Int
        /// Of the stretch's two neighbours in the file.
        var isBehindFirst: Bool
        var isBeforeLast: Bool
    }
    /// What an account used in lines that are lost.
    struct Mend {
        var record: UsageRecord
        /// In which losses it may be.
        var losses: Range<Int>
        /// When it was used.
        var window: ClosedRange<UInt64>
    }
    /// A line next to something that is missing.
    private struct Edge {
        var file: String
        var time: UInt64
        var dayBefore: UInt64?
    }

    static let always: ClosedRange<UInt64> = 0...(.max)
    /// Losses that one account may have had a part in: of more of them nobody can tell anything.
    private static let reach = 1000

    private(set) var losses: [Loss] = []
    private(set) var mends: [Mend] = []
    /// What is wrong in files and does no harm: all that the lines said is known.
    private(set) var harmless: [LedgerDamage] = []
    /// What is wrong, and nobody knows what was lost by it.
    private(set) var hopeless: [LedgerDamage] = []
    /// Files that have lines of other days.
    private(set) var strays: [LedgerFile] = []
    /// The days that these lines are of.
    private(set) var strayDays: Set<UInt64> = []

    private let memory: LedgerMemory?
    private var chains = AccountChains()
    private var present = RecordRanges()
    /// By the first and the last id of what is there without a gap.
    private var starts: [RecordID: Edge] = [:]
    private var ends: [RecordID: Edge] = [:]
    /// Lines of which others say that they were written.
    private var written = RecordRanges()
    /// Files that hold nothing that can be read.
    private var silent: [LedgerFile] = []
    /// Bad lines, and files that can't be read to their end, with what names them.
    private var bad: [(run: LinesOfFile.BadRun, file: LedgerFile, name: LedgerDamage)] = []
    /// From before there were seals: which ids they hold is not known for sure.
    private var former = RecordRanges()
    /// Which files whole sums were made of.
    private var added: Set<String> = []

    /// - Parameter seal: of a file of sums; nil where it is not as it was written.
    init(
        _ folder: LedgerFolder, _ files: [LedgerFile], memory: LedgerMemory?,
        seal: (LedgerFile) throws(StorageFault) -> Seal?
    ) throws(StorageFault) {
        self.memory = memory
        for file in files where file.level == nil { try read(file, in: folder) }
        // The finest first: of coarser ones only what they alone hold is of use.
        for file in files.filter({ $0.level != nil }).sorted(by: { $0.level! < $1.level! }) {
            guard let seal = try seal(file) else { continue }
            try read(file, seal, in: folder)
        }
        findLosses()
        attachBadLines()
        splitBetweenDays()
        for index in losses.indices { losses[index].window = window(of: losses[index]) }
        follow()
        for index in losses.indices { name(index) }
    }

    // MARK: What is there

    private mutating func read(_ file: LedgerFile, in folder: LedgerFolder) throws(StorageFault) {
        var (chains, seen) = (self.chains, present)
        (self.chains, present) = (AccountChains(), RecordRanges())
        func take(_ record: UsageRecord) {
            guard seen.insert(record.id) else { return }
            if record.rolledUp != nil { seen.insert(record.range) }
            chains.take(record)
        }
        let scan = try LinesOfFile(file, in: folder, strays: take, take)
        (self.chains, present) = (chains, seen)
        for stretch in scan.stretches {
            starts[stretch.first] = Edge(file: file.path, time: stretch.from, dayBefore: stretch.dayBefore)
            ends[stretch.last] = Edge(file: file.path, time: stretch.end)
            if let before = stretch.before { written.insert(before) }
            if stretch.isStray { strayDays.formUnion([stretch.from, stretch.end].map { $0 - $0 % Timestamp.day }) }
        }
        for run in scan.bad { bad.append((run, file, scan.damage(run))) }
        if let unreadable = scan.unreadable {
            let run = LinesOfFile.BadRun(line: 0, count: 1, after: scan.stretches.last?.last)
            bad.append((run, file, unreadable))
        }
        if scan.stretches.isEmpty { silent.append(file) }
        if let misplaced = scan.misplaced {
            strays.append(file)
            harmless.append(misplaced)
        }
    }

    private mutating func read(_ file: LedgerFile, _ seal: Seal, in folder: LedgerFolder) throws(StorageFault) {
        for source in seal.of { added.insert(source.file) }
        for range in seal.ids.ranges {
            let (first, last) = (file.span.lowerBound, file.span.upperBound - 1)
            if starts[range.first] == nil { starts[range.first] = Edge(file: file.path, time: last) }
            if ends[range.last] == nil { ends[range.last] = Edge(file: file.path, time: first) }
        }
        written.insert(seal.ends)
        if seal.isFormer { former.insert(seal.ids) }
        guard !present.covers(seal.ids) else { return }
        present.insert(seal.ids)
        let isInOrder = !seal.isFormer && seal.ids.gaps.isEmpty
        var chains = AccountChains()
        swap(&chains, &self.chains)
        defer { swap(&chains, &self.chains) }
        _ = try LinesOfFile(file, in: folder) { chains.take($0, isInOrder: isInOrder) }
    }

    // MARK: What is missing

    private mutating func findLosses() {
        for (index, range) in present.ranges.enumerated() {
            let (node, epoch) = (range.first.node, range.first.epoch)
            let previous =
                index > 0 && present.ranges[index - 1].last.node == node ? present.ranges[index - 1].last : nil
            if let previous, previous.epoch == epoch {
                lose(node, previous.place + 1, range.first.place - 1)
            } else {
                let start = RecordID(node: node, epoch: epoch, sequence: 0).place
                // The last of those before it that is known to have been written.
                let before = written.last(before: start, of: node)
                if let before, before.place >= previous?.place ?? 0 {
                    loseTail(node, behind: previous, to: before)
                } else {
                    lose(node, previous.map { $0.place + 1 } ?? 0, start, isDefinite: false)
                }
                if range.first.sequence > 1 { lose(node, start + 1, range.first.place - 1) }
            }
            let isLast = index + 1 == present.ranges.count || present.ranges[index + 1].first.node != node
            guard isLast else { continue }
            if let memory, memory.node == node, let last = memory.last {
                loseTail(node, behind: range.last, to: last)
            } else {
                lose(node, range.last.place + 1, .max, isDefinite: false)
            }
        }
        if let memory, let last = memory.last, !present.ranges.contains(where: { $0.first.node == memory.node }) {
            loseTail(memory.node, behind: nil, to: last)
        }
        losses.removeAll { loss in
            loss.isDefinite && former.last(before: loss.first, of: loss.node) != nil
                && former.first(behind: loss.last, of: loss.node) != nil
        }
        losses.sort { ($0.node, $0.first) < ($1.node, $1.first) }
    }

    /// What is missing up to a line of which it is known that it was written.
    private mutating func loseTail(_ node: UInt32, behind previous: RecordID?, to last: RecordID) {
        if let previous, previous.place >= last.place { return }
        let start = RecordID(node: node, epoch: last.epoch, sequence: 0).place
        var first = start + 1
        if let previous, previous.epoch == last.epoch {
            first = previous.place + 1
        } else {
            lose(node, previous.map { $0.place + 1 } ?? 0, start, isDefinite: false)
        }
        // The file that was last written to is of one day.
        if let memory, memory.node == node, memory.last == last, first < memory.fileFirst,
            memory.fileFirst <= last.place
        {
            lose(node, first, memory.fileFirst - 1)
            first = memory.fileFirst
        }
        lose(node, first, last.place)
    }

    private mutating func lose(_ node: UInt32, _ first: UInt64, _ last: UInt64, isDefinite: Bool = true) {
        guard first <= last else { return }
        losses.append(Loss(node: node, first: first, last: last, isDefinite: isDefinite))
    }

    /// Those that have a place among these, in the order of places.
    private func range(of node: UInt32, _ first: UInt64, _ last: UInt64) -> Range<Int> {
        func index(_ isBefore: (Loss) -> Bool) -> Int {
            var (low, high) = (0, losses.count)
            while low < high {
                let middle = (low + high) / 2
                if isBefore(losses[middle]) { low = middle + 1 } else { high = middle }
            }
            return low
        }
        let start = index { ($0.node, $0.last) < (node, first) }
        guard first <= last else { return start..<start }
        return start..<max(start, index { ($0.node, $0.first) <= (node, last) })
    }

    func lower(_ loss: Loss) -> RecordID? { present.last(before: loss.first, of: loss.node) }
    private func upper(_ loss: Loss) -> RecordID? {
        loss.last == .max ? nil : present.first(behind: loss.last, of: loss.node)
    }

    // MARK: Bad lines

    /// Looks which of the lines that are missing bad ones stand for.
    private mutating func attachBadLines() {
        var byUpper: [RecordID: [Int]] = [:]
        for (index, loss) in losses.enumerated() {
            if let upper = upper(loss) { byUpper[upper, default: []].append(index) }
        }
        for (run, file, name) in bad {
            var found: Set<Int> = []
            let isAdded = added.contains(file.path) || added.contains(plain(file))
            let count = UInt64(run.count)
            if let after = run.after {
                let end = run.before.flatMap { $0.node == after.node && $0.epoch == after.epoch ? $0.place : nil } ?? 0
                let reach = after.place.addingReportingOverflow(count).partialValue
                found.formUnion(
                    range(of: after.node, after.place + 1, end > after.place ? end - 1 : max(reach, after.place)))
            }
            if let before = run.before {
                found.formUnion(
                    range(of: before.node, before.place - min(before.place, count), before.place - min(before.place, 1))
                )
                found.formUnion(byUpper[before] ?? [])
            }
            if run.after == nil, run.before == nil {
                // A file without any good line: whatever is missing at its time.
                found = Set(losses.indices.filter { times(of: losses[$0]).overlaps(closed(file.span)) })
                if isAdded { found = found.filter { losses[$0].isDefinite } }
            }
            // Where just as many lines are known to be missing it stands for these; else it may be the end of an opening.
            let definite = found.filter { losses[$0].isDefinite }
            if definite.reduce(0, { $0.addingClamped(losses[$1].count) }) == run.count { found = definite }
            for index in found {
                losses[index].names.append(name)
                losses[index].runs.append(
                    Evidence(
                        span: file.span, count: run.count,
                        isBehindFirst: run.after != nil && run.after == lower(losses[index]),
                        isBeforeLast: run.before != nil && run.before == upper(losses[index])))
            }
            if found.isEmpty {
                // What it said is in sums, or it stands between lines of which none is missing.
                if isAdded || run.after != nil || run.before != nil {
                    harmless.append(name)
                } else {
                    hopeless.append(name)
                }
            }
        }
    }

    private func plain(_ file: LedgerFile) -> String {
        var file = file
        file.isCompressed = false
        return file.path
    }

    private func closed(_ span: Range<UInt64>) -> ClosedRange<UInt64> { span.lowerBound...span.upperBound - 1 }

    /// Lines of two days next to each other, each with bad ones in the place of its own.
    private mutating func splitBetweenDays() {
        for index in losses.indices.reversed() {
            let loss = losses[index]
            guard loss.isDefinite, loss.runs.count == 2, loss.runs[0].span != loss.runs[1].span,
                loss.runs[0].count + loss.runs[1].count == loss.count,
                let one = loss.runs.firstIndex(where: { $0.isBehindFirst }),
                let other = loss.runs.firstIndex(where: { $0.isBeforeLast }), one != other
            else { continue }
            var (first, second) = (loss, loss)
            first.last = loss.first + UInt64(loss.runs[one].count) - 1
            second.first = first.last + 1
            (first.runs, second.runs) = ([loss.runs[one]], [loss.runs[other]])
            (first.names, second.names) = ([loss.names[one]], [loss.names[other]])
            losses.replaceSubrange(index...index, with: [first, second])
        }
    }

    // MARK: Times

    /// When the lines began, as far as the lines around them tell.
    private func times(of loss: Loss) -> ClosedRange<UInt64> {
        let (before, after) = (lower(loss).flatMap { ends[$0] }, upper(loss).flatMap { starts[$0] })
        if let memory, memory.node == loss.node, memory.fileDay > 0, loss.first >= memory.fileFirst, loss.isDefinite,
            loss.last == memory.last?.place
        {
            let day = closed(Period.day.bounds(of: memory.fileDay))
            let (start, end) = (max(before?.time ?? 0, day.lowerBound), memory.closed)
            return start <= end && day.contains(start) && day.contains(end) ? start...end : day
        }
        var start = before?.time ?? 0
        var end = after?.time ?? .max
        if after == nil, let memory, memory.node == loss.node { end = memory.closed }
        if let day = after?.dayBefore {
            // Of that day was the last of them, whatever days the lines around are of: a clock may have gone back.
            let span = closed(Period.day.bounds(of: day))
            if span.upperBound < start {
                return loss.isDefinite && loss.count == 1 ? span : Self.always
            }
            if end < span.lowerBound || end > span.upperBound || end < start { end = span.upperBound }
            if loss.isDefinite, loss.count == 1 { start = max(start, span.lowerBound) }
        }
        return start <= end ? start...end : Self.always
    }

    private func window(of loss: Loss) -> ClosedRange<UInt64> {
        let times = times(of: loss)
        guard let span = loss.runs.first?.span, loss.runs.allSatisfy({ $0.span == span }),
            loss.runs.reduce(0, { $0.addingClamped($1.count) }) >= loss.count
        else { return times }
        let day = closed(span)
        // A bad line where none of them can have been is another's.
        guard times.overlaps(day) else { return Self.always }
        return max(times.lowerBound, day.lowerBound)...min(times.upperBound, day.upperBound)
    }

    // MARK: Totals

    /// Follows each account over what is missing.
    private mutating func follow() {
        // By loss: accounts that can't be followed over it, what is told of it, and of it alone.
        var (lost, told, others) = (Marks(losses.count), Marks(losses.count), Marks(losses.count))
        var isReal = losses.map { $0.isDefinite || !$0.runs.isEmpty }
        func places(_ node: UInt32, _ first: UInt64, _ last: UInt64) -> Range<Int> { range(of: node, first, last) }
        func tell(
            _ key: AccountChains.Key, _ one: AccountChains.Run?, _ next: AccountChains.Run?, _ usage: Usage,
            _ totals: UsageCounters
        ) {
            let first = one.map { $0.last + 1 } ?? 0
            let last = next.map { $0.first - min($0.first, 1) } ?? .max
            var found = places(key.node, first, last)
            let definite = found.filter { losses[$0].isDefinite || isReal[$0] }
            if let start = definite.first, let end = definite.last { found = start..<end + 1 }
            if found.isEmpty { return }
            for index in found where !isReal[index] && definite.isEmpty { isReal[index] = true }
            told.add(found)
            if found.count > 1 { others.add(found) }
            let window = window(found, one)
            // Where it is not known it is at the nearest time that is.
            let end = window.upperBound < .max ? window.upperBound : one?.to ?? next?.from ?? window.lowerBound
            let start = window.lowerBound > 0 ? window.lowerBound : end
            mends.append(
                Mend(
                    record: UsageRecord(
                        id: RecordID(node: key.node, place: 0), account: key.account, from: start, to: max(start, end),
                        usage: usage, inFlight: 0, totals: totals),
                    losses: found, window: window))
        }
        var all = chains.runs
        if let memory {
            for account in memory.totals.keys {
                all[AccountChains.Key(account: account, node: memory.node), default: []] += []
            }
        }
        for (key, runs) in all {
            for run in runs where run.isMixed { lost.add(places(key.node, run.first, run.last)) }
            var previous: AccountChains.Run?
            for run in runs {
                defer { previous = run }
                let sum = previous?.end ?? Usage()
                func between() -> Range<Int> {
                    places(key.node, previous.map { $0.last + 1 } ?? 0, run.first - min(run.first, 1))
                }
                guard let begin = run.begin else {
                    lost.add(between())
                    continue
                }
                if begin == sum { continue }
                let usage = begin.minus(sum)
                // Counted from nothing again: another slot, and how the one before it ended is not known.
                if begin == Usage() || !usage.isAmount {
                    lost.add(between())
                } else {
                    tell(key, previous, run, usage, UsageCounters(begin))
                }
            }
            let last = previous?.last ?? 0
            guard let memory, memory.node == key.node else {
                lost.add(places(key.node, last == .max ? .max : last + 1, .max))
                continue
            }
            guard let said = memory.totals[key.account] else {
                // Its slot was given away, and then it had all of its lines.
                if last < memory.released { lost.add(places(key.node, last + 1, memory.released)) }
                continue
            }
            let usage = Usage(said).minus(previous?.end ?? Usage())
            // It was asked a moment before the files were read: then they say more.
            if usage == Usage() || last > memory.last?.place ?? 0 { continue }
            if usage.isAmount {
                tell(key, previous, nil, usage, said)
            } else {
                lost.add(places(key.node, last + 1, .max))
            }
        }
        let (unfollowed, counts, shared) = (lost.counts, told.counts, others.counts)
        for index in losses.indices {
            let (loss, own) = (losses[index], counts[index] - shared[index])
            let isAlone = shared[index] == 0 && loss.isDefinite && own == loss.count
            let isFollowed = unfollowed[index] == 0 && (counts[index] > 0 || isKnownWhole(loss))
            losses[index].isCounted = isAlone
            // More accounts than lines: some of it is missing elsewhere.
            losses[index].isProven = (isAlone || isFollowed) && (!loss.isDefinite || own <= loss.count)
        }
        for index in losses.indices where isReal[index] {
            losses[index].ids = ids(around: index, isReal: isReal) { unfollowed[$0] == 0 && !mayBeOfStranger(losses[$0]) }
        }
        keep(isReal)
        giveIDs()
    }

    /// Whether nothing can be missing where no account misses anything: the meters know all accounts, and a bad line at the
    /// end of an opening may be nobody's.
    private func isKnownWhole(_ loss: Loss) -> Bool { !loss.isDefinite && memory?.node == loss.node }

    /// Whether anything is known of it but what may be in lines that are lost.
    func knows(_ tenant: String) -> Bool {
        chains.runs.keys.contains { $0.account.tenant == tenant } || memory?.totals.keys.contains { $0.tenant == tenant } == true
    }

    /// Whether lines of it may be of who has no others. The meters know all accounts but those that they have let go of.
    func mayBeOfStranger(_ loss: Loss) -> Bool {
        if loss.isCounted { return false }
        guard let memory, memory.node == loss.node else { return true }
        return max(loss.first, RecordID(node: loss.node, epoch: 1, sequence: 1).place) <= memory.released
    }

    private func window(
        _ found: Range<Int>, _ one: AccountChains.Run?
    ) -> ClosedRange<UInt64> {
        guard found.count <= Self.reach else { return Self.always }
        var (start, end): (UInt64, UInt64) = (.max, 0)
        for loss in losses[found] {
            (start, end) = (min(start, loss.window.lowerBound), max(end, loss.window.upperBound))
        }
        // Intervals of one account follow each other, where the clock didn't go back.
        if start...end != Self.always, let one, !one.isMixed, one.lastFrom <= start, one.to > start, one.to <= end {
            start = one.to
        }
        return start...end
    }

    /// Leaves out the ends of openings behind which nothing is missing.
    private mutating func keep(_ isReal: [Bool]) {
        var places = [0]
        for real in isReal { places.append(places.last! + (real ? 1 : 0)) }
        losses = zip(losses, isReal).filter(\.1).map(\.0)
        for index in mends.indices {
            mends[index].losses = places[mends[index].losses.lowerBound]..<places[mends[index].losses.upperBound]
        }
    }

    /// The ids that are free: which of them was whose is not known, nor does it matter. The last one takes all that are left.
    private mutating func giveIDs() {
        mends.sort {
            ($0.losses.lowerBound, $0.record.account.tenant, $0.record.account.key ?? "")
                < ($1.losses.lowerBound, $1.record.account.tenant, $1.record.account.key ?? "")
        }
        var given: UInt64 = 0
        for (index, mend) in mends.enumerated() {
            let loss = losses[mend.losses.lowerBound]
            if index == 0 || mends[index - 1].losses.lowerBound != mend.losses.lowerBound { given = 0 }
            var first = loss.first
            if !loss.isDefinite, lower(loss) == nil, let upper = upper(loss) {
                first = RecordID(node: loss.node, epoch: upper.epoch - min(upper.epoch, 1), sequence: 1).place
                if upper.epoch == 0 { losses[mend.losses.lowerBound].isProven = false }
            }
            let place = loss.isDefinite ? min(first + given, loss.last) : first + given
            given += 1
            mends[index].record.id = RecordID(node: loss.node, place: place)
            let isLast = index + 1 == mends.count || mends[index + 1].losses.lowerBound != mend.losses.lowerBound
            guard isLast, loss.isDefinite, place < loss.last else { continue }
            let last = RecordID(node: loss.node, place: loss.last)
            mends[index].record.id = last
            mends[index].record.rolledUp = UsageRecord.RolledUp(
                lines: loss.last - place + 1, first: RecordID(node: loss.node, place: place), last: last)
        }
    }

    // MARK: Names

    private mutating func name(_ index: Int) {
        let loss = losses[index]
        let told = loss.runs.reduce(0) { $0.addingClamped($1.count) }
        if !loss.isDefinite, told > 0 || !loss.names.isEmpty { return }
        let missing = loss.count - told
        if missing <= 0 { return }
        let (before, after) = (lower(loss), upper(loss))
        // A file that holds nothing, or can't be read, is the one that has lost them.
        let silent = silent.first { closed($0.span).overlaps(loss.window) }?.path
        let file = silent ?? before.flatMap { ends[$0]?.file } ?? after.flatMap { starts[$0]?.file } ?? dayFile(loss)
        let range = RecordRanges.Range(
            first: RecordID(node: loss.node, place: loss.first), last: RecordID(node: loss.node, place: loss.last))
        var what = loss.count == 1 ? "line \(range.text) is missing" : "lines \(range.text) are missing"
        if !loss.isDefinite {
            what =
                before.map { "lines behind \($0.text) are missing" }
                ?? "lines in front of \(after?.text ?? "all") are missing"
        }
        let end = loss.window.upperBound
        losses[index].names.append(
            LedgerDamage(
                file: file, span: loss.window.lowerBound..<(end == .max ? end : end + 1), lines: missing, what: what))
    }

    private func dayFile(_ loss: Loss) -> String {
        let day = memory?.fileDay ?? 0
        return LedgerFile(day: day > 0 ? day : memory?.closed ?? 0).path
    }
}

/// How many ranges hold each of some places.
struct Marks {
    private var steps: [Int]

    init(_ count: Int) { steps = [Int](repeating: 0, count: count + 1) }

    mutating func add(_ range: Range<Int>) {
        steps[range.lowerBound] += 1
        steps[range.upperBound] -= 1
    }

    var counts: [Int] {
        var sum = 0
        return steps.dropLast().map { step in
            sum += step
            return sum
        }
    }
}
