import Storage

/// Reads what a ledger says of a time, each request once, whatever its files look like.
///
/// Of each day, or month, the coarsest sums are taken that answer the question, are there from the first byte to the seal,
/// and hold all that finer sums hold; to them comes what was written into the day's lines since. Without such sums the
/// lines are read. Ids say which line is in which sum, and which line is missing: those of one opening of the ledger follow
/// each other without a gap, over all files.
final class LedgerReader {
    let folder: LedgerFolder
    let memory: LedgerMemory?
    private let files: [LedgerFile]
    /// What is in the place of files.
    private let foreign: [LedgerDamage]
    /// By the beginning of the day; lines first.
    private var days: [UInt64: [LedgerFile]] = [:]
    private var months: [UInt64: LedgerFile] = [:]
    private var seals: [LedgerFile: Seal?] = [:]

    /// What was found to be wrong and can't be made good.
    private(set) var damage: [LedgerDamage] = []
    /// What was wrong and was made good by the totals of other lines.
    private(set) var mended: [LedgerDamage] = []
    /// Lines that stand there twice.
    private(set) var repeated = 0
    /// Sums of which only a part is asked for, and nothing finer is there.
    private(set) var tooCoarse: [LedgerFile] = []
    /// All lines that were read, themselves or in a sum.
    private(set) var ids = RecordRanges()
    /// What was read, as long as it was before.
    private(set) var sources: [Seal.Source] = []
    /// Lines of it were damaged or missing when they were added up.
    private(set) var damagedBefore = 0

    /// What is suspicious: it may have lost lines.
    private var suspects: [LedgerDamage] = []
    private var losses: [Loss] = []
    private var openings = OpeningChain()
    private var read: [(file: LedgerFile, ids: RecordRanges)] = []
    private var hasFormer = false

    typealias Body = (_ record: UsageRecord, _ level: Period?) -> Void

    init(_ folder: LedgerFolder, memory: LedgerMemory? = nil) throws(StorageFault) {
        (self.folder, self.memory) = (folder, memory)
        (files, foreign) = try folder.contents()
        for file in files {
            if file.level == .month {
                months[file.span.lowerBound] = file
            } else {
                days[file.span.lowerBound, default: []].append(file)
            }
        }
    }

    // MARK: A time

    /// Calls `body` with each record of the time: lines, and sums with what they are sums of. Records of other times come
    /// too where a file has them. What totals have made good comes last.
    func read(_ query: UsageQuery, _ body: Body) throws(StorageFault) {
        damage += foreign.filter { query.overlaps($0.span) }
        for month in spans(of: query) {
            guard try !readMonth(month, query, body) else { continue }
            for day in days.keys.sorted() where month.contains(day) && query.overlaps(Period.day.bounds(of: day)) {
                try readDay(day, query, body)
            }
        }
        try findGaps(query)
        if losses.isEmpty { for bad in suspects { lose(bad) } }
        if !suspects.isEmpty { try mend(query, body) }
    }

    /// The months that anything is known of, and that the query is about.
    private func spans(of query: UsageQuery) -> [Range<UInt64>] {
        Set(files.lazy.map { Period.month.bounds(of: $0.span.lowerBound) })
            .filter { query.overlaps($0) }.sorted { $0.lowerBound < $1.lowerBound }
    }

    /// False where its days are to be read.
    private func readMonth(_ month: Range<UInt64>, _ query: UsageQuery, _ body: Body) throws(StorageFault) -> Bool {
        guard let file = months[month.lowerBound] else { return false }
        let hasDays = days.keys.contains { month.contains($0) }
        guard let seal = try seal(of: file) else {
            let note = LedgerDamage(
                file: file.path, span: month, lines: 1, what: "is not as it was written, or not whole")
            // Its days say the same, where they are there: whether something is missing among them follows from ids.
            if hasDays { if try daysAreBroken(month) { damage.append(note) } } else { damage.append(note) }
            return false
        }
        let isWhole = try holdsFinerSums(of: month, seal)
        if file.isFineEnough(for: query), isWhole, !query.readsLines {
            try deliver(file, seal, lines: lineFiles(in: month), body)
            return true
        }
        if try isHeldByFiner(seal) { return false }
        if query.acceptsCoarse {
            try deliver(file, seal, lines: lineFiles(in: month), body)
            return true
        }
        if query.readsLines {
            try deliver(file, seal, lines: [], body)
            return false
        }
        if !file.isFineEnough(for: query) {
            tooCoarse.append(file)
        } else {
            damage.append(
                LedgerDamage(
                    file: file.path, span: month, lines: 1, what: "and the sums of its days don't hold the same lines"))
        }
        return false
    }

    private func readDay(_ day: UInt64, _ query: UsageQuery, _ body: Body) throws(StorageFault) {
        let all = days[day] ?? []
        let lines = all.filter { $0.level == nil }
        var sums: [(file: LedgerFile, seal: Seal)] = []
        var broken: [LedgerFile] = []
        // The coarsest first.
        for file in all.filter({ $0.level != nil }).sorted(by: { $0.level! > $1.level! }) {
            if let seal = try seal(of: file) { sums.append((file, seal)) } else { broken.append(file) }
        }
        func holdsAll(_ seal: Seal) throws(StorageFault) -> Bool {
            for other in sums where !seal.ids.covers(other.seal.ids) {
                if try !isHeldByFiner(other.seal) { return false }
            }
            return true
        }
        var isHeld = query.isForSums && !lines.isEmpty
        for sum in sums where isHeld { isHeld = try isHeldByFiner(sum.seal) }
        if isHeld {
            for file in lines { try deliverLines(file, except: RecordRanges(), body) }
            return
        }
        for (file, seal) in sums where file.isFineEnough(for: query) {
            if try holdsAll(seal) { return try deliver(file, seal, lines: lines, body) }
        }
        // What lines that are gone said is in sums alone.
        for (file, seal) in sums.reversed() where !file.isFineEnough(for: query) {
            if try isHeldByFiner(seal) { continue }
            if query.acceptsCoarse { return try deliver(file, seal, lines: lines, body) }
            tooCoarse.append(file)
            break
        }
        if lines.isEmpty, sums.isEmpty || sums.allSatisfy({ $0.file.isFineEnough(for: query) }) {
            for file in broken + sums.map(\.file) {
                damage.append(
                    LedgerDamage(
                        file: file.path, span: file.span, lines: 1, what: "is not as it was written, or not whole"))
            }
        }
        for file in lines { try deliverLines(file, except: RecordRanges(), body) }
    }

    /// A file of sums, and what its days' lines say beside it.
    private func deliver(_ file: LedgerFile, _ seal: Seal, lines: [LedgerFile], _ body: Body) throws(StorageFault) {
        if let size = try? folder.size(of: file.path) { sources.append(Seal.Source(file: file.path, size: size)) }
        damagedBefore.addClamped(seal.damaged)
        if seal.isFormer { hasFormer = true }
        var found: Seal?
        // Where a clock went back a sum has lines of two times, and tells nothing of what was before it.
        let isInOrder = !seal.isFormer && seal.ids.gaps.isEmpty
        try JournalReader(folder.files).forward(folder.path(of: file)) { line in
            guard let record = UsageRecord(line) else {
                found = Seal(line)
                return true
            }
            openings.take(record, isInOrder: isInOrder)
            body(record, file.level)
            return true
        }
        // Written anew since it was looked at.
        guard seal.isFormer || found == seal else { throw LinesOfFile.gone(folder.path(of: file)) }
        ids.insert(seal.ids)
        read.append((file, seal.ids))
        for lines in lines where try !isIn(seal, lines) { try deliverLines(lines, except: seal.ids, body) }
    }

    /// Whether all of its lines were added up, as far as its first one and its length tell.
    private func isIn(_ seal: Seal, _ lines: LedgerFile) throws(StorageFault) -> Bool {
        var plain = lines
        plain.isCompressed = false
        for source in seal.of where source.file == plain.path || source.file == lines.path {
            let isAsLong =
                source.file == lines.path
                ? try folder.size(of: lines.path) == source.size
                : folder.unpackedSize(of: lines.path) == UInt32(truncatingIfNeeded: source.size)
            if isAsLong, source.begins(lines.path, in: folder) { return true }
        }
        return false
    }

    private func deliverLines(_ file: LedgerFile, except known: RecordRanges, _ body: Body) throws(StorageFault) {
        let size = try? folder.size(of: file.path)
        let scan = try LinesOfFile(file, in: folder) { record in
            if known.contains(record.id) { return }
            guard self.ids.insert(record.id) else { return }
            self.openings.take(record)
            body(record, nil)
        }
        if let size { sources.append(Seal.Source(file: file.path, size: size, ids: scan.ids)) }
        repeated += scan.repeated
        read.append((file, scan.ids))
        suspects += scan.damage
    }

    // MARK: What holds what

    private func seal(of file: LedgerFile) throws(StorageFault) -> Seal? {
        if let known = seals[file] { return known }
        let seal = (try? Seal.read(file, in: folder)) ?? nil
        seals[file] = .some(seal)
        return seal
    }

    private func lineFiles(in span: Range<UInt64>) -> [LedgerFile] {
        days.keys.filter { span.contains($0) }.sorted().flatMap { days[$0]!.filter { $0.level == nil } }
    }

    private func sums(in span: Range<UInt64>) -> [LedgerFile] {
        days.keys.filter { span.contains($0) }.sorted().flatMap { days[$0]!.filter { $0.level != nil } }
    }

    private func holdsFinerSums(of month: Range<UInt64>, _ seal: Seal) throws(StorageFault) -> Bool {
        for file in sums(in: month) {
            if let finer = try self.seal(of: file), !seal.ids.covers(finer.ids) { return false }
        }
        return true
    }

    /// Whether all that was added up in it is in files that are there still, finer ones. What was made good is in none.
    private func isHeldByFiner(_ seal: Seal) throws(StorageFault) -> Bool {
        if seal.isFormer { return false }
        var held = RecordRanges()
        for source in seal.of {
            if source.file.hasPrefix(LedgerFile.rollupFolder + "/") {
                let name = String(source.file.dropFirst(LedgerFile.rollupFolder.utf8.count + 1))
                guard let file = LedgerFile(name: name, inRollups: true), try folder.size(of: source.file) != nil,
                    let finer = try self.seal(of: file)
                else { return false }
                held.insert(finer.ids)
            } else {
                guard try source.isThere(in: folder) else { return false }
                held.insert(source.ids)
            }
        }
        return held.covers(seal.ids)
    }

    /// Whether a day's sums of that month can't be read and nothing finer can.
    private func daysAreBroken(_ month: Range<UInt64>) throws(StorageFault) -> Bool {
        for file in sums(in: month) where try seal(of: file) == nil {
            if days[file.span.lowerBound]!.allSatisfy({ $0.level != nil }) { return true }
        }
        return false
    }

    // MARK: What is missing

    /// Where ids are missing among those that were read and their neighbours.
    private func findGaps(_ query: UsageQuery) throws(StorageFault) {
        lost = suspects.count { $0.line != nil }
        if hasFormer || read.isEmpty && memory?.last == nil { return }
        var known = ids
        let spans = read.map(\.file.span)
        let start = spans.map(\.lowerBound).min() ?? query.from ?? 0
        let end = spans.map(\.upperBound).max() ?? query.to ?? .max
        var scanned = ids
        let before = files.filter { $0.span.upperBound <= start && $0.level != .month }.max {
            $0.span.upperBound < $1.span.upperBound
        }
        let after = files.filter { $0.span.lowerBound >= end && $0.level != .month }.min {
            $0.span.lowerBound < $1.span.lowerBound
        }
        var earlier = RecordRanges()
        for neighbour in [before, after] {
            guard let neighbour else { continue }
            let edges = try edges(of: neighbour)
            known.insert(edges)
            if neighbour == before { earlier = edges }
            // How one opening ended and another began only totals tell.
            if ids.sharesOpening(with: edges) { continue }
            scanned.insert(try allIDs(of: neighbour))
            var isInOrder = true
            if neighbour.level != nil { isInOrder = try seal(of: neighbour)?.ids.gaps.isEmpty == true }
            try scan(neighbour) { openings.take($0, isInOrder: isInOrder) }
        }
        let isToEnd =
            query.to == nil && (query.from ?? 0) <= max(files.map(\.span.upperBound).max() ?? 0, memory?.closed ?? 0)
        let breaks = openings.breaks
        // What is missing in front of the file before is of another time.
        var missing = known.gapsAndStarts.filter { $0.first.sequence > 1 || !earlier.contains($0.next) }
        if isToEnd, let last = memory?.last, !known.contains(last), let tail = Self.tail(known, last) {
            missing.append(tail)
        }
        let isFromStart = !files.contains { $0.span.upperBound <= start }
        let beginnings = isFromStart ? openings.beginnings : []
        if missing.isEmpty, breaks.isEmpty, suspects.isEmpty, beginnings.isEmpty { return }
        // A clock that went back may have mixed them over other days. Sums of these days that were not read are no help:
        // what they hold should have been found.
        var everywhere = ids
        for file in files where !query.overlaps(file.span) && !read.contains(where: { $0.file == file }) {
            everywhere.insert(try allIDs(of: file))
        }
        for file in tooCoarse { everywhere.insert(try allIDs(of: file)) }
        let all = everywhere.gapsAndStarts
        missing = all.filter { gap in missing.contains { Self.overlap($0, gap) } }
        if isToEnd, let last = memory?.last, !everywhere.contains(last), let tail = Self.tail(everywhere, last) {
            missing.append(tail)
        }
        for (last, next) in breaks where scanned.covers(everywhere.between(last, next)) {
            let span = suspect(end: last)
            losses += everywhere.ends(from: last, to: next).map { Loss(node: last.node, first: $0.0, last: $0.1, span: span) }
        }
        for first in beginnings where scanned.covers(everywhere.between(RecordID(node: first.node, place: 0), first)) {
            suspect(beginning: first)
            let start = RecordID(node: first.node, place: 0)
            losses += everywhere.ends(from: start, to: first).map { Loss(node: first.node, first: $0.0, last: $0.1) }
        }
        gaps = missing
        for gap in missing {
            losses.append(Loss(node: gap.first.node, first: gap.first.place, last: gap.last.place, span: suspect(gap)))
        }
        // Whether others of these openings are of this time as well totals tell.
        for gap in all where !missing.contains(gap) && known.sharesOpening(with: gap) && !missing.isEmpty {
            gaps.append(gap)
            losses.append(Loss(node: gap.first.node, first: gap.first.place, last: gap.last.place))
        }
        lost = max(gaps.reduce(0) { $0 + $1.count }, suspects.count { $0.line != nil })
    }

    /// Ids that are nowhere, and how many lines may be lost.
    private(set) var gaps: [RecordRanges.Range] = []
    private var lost = 0

    private static func overlap(_ one: RecordRanges.Range, _ other: RecordRanges.Range) -> Bool {
        one.first.node == other.first.node && one.first.place <= other.last.place && other.first.place <= one.last.place
    }

    /// What is missing from the end of the ledger.
    private static func tail(_ known: RecordRanges, _ last: RecordID) -> RecordRanges.Range? {
        let before = known.ranges.last { $0.first.node == last.node && $0.first.epoch == last.epoch }?.last
        let first = before?.place ?? RecordID(node: last.node, epoch: last.epoch, sequence: 0).place
        guard first < last.place else { return nil }
        return RecordRanges.Range(first: RecordID(node: last.node, place: first + 1), last: last)
    }

    /// Lines without any bad one in their place are said to be missing from the file that has the line before them.
    /// - Returns: the day whose lines they were, where bad lines stand for all of them.
    private func suspect(_ gap: RecordRanges.Range) -> Range<UInt64>? {
        let before = RecordID(node: gap.first.node, place: gap.first.place - 1)
        let after = RecordID(node: gap.last.node, place: gap.last.place + 1)
        let (one, other) = (read.first { $0.ids.contains(before) }?.file, read.first { $0.ids.contains(after) }?.file)
        // Where a clock went back the line behind them may be of an earlier day.
        let known = [one, other].compactMap { $0?.span }
        let start = known.map(\.lowerBound).min() ?? read.first?.file.span.lowerBound ?? 0
        let last = other == nil ? (memory?.closed ?? 0) + 1 : 0
        let end = max(known.map(\.upperBound).max() ?? read.last?.file.span.upperBound ?? 0, last, start + 1)
        let here = suspects.filter { $0.span.overlaps(start..<end) }
        let bad = here.count { $0.line != nil }
        if bad >= gap.count {
            let spans = here.filter { $0.line != nil }.map(\.span)
            return spans.allSatisfy { $0 == spans[0] } ? spans[0] : nil
        }
        // A file that holds nothing, or can't be read, is the one that has lost them.
        let silent = read.first { $0.ids.isEmpty && $0.file.span.overlaps(start..<end) }?.file
        let file = silent ?? one ?? other ?? files.last ?? LedgerFile(day: memory?.closed ?? 0)
        suspects.append(
            LedgerDamage(
                file: file.path, span: start..<end, lines: gap.count - bad,
                what: gap.count == 1 ? "line \(gap.text) is missing" : "lines \(gap.text) are missing"))
        return nil
    }

    /// What an opening wrote last is not there, and the next one went on from it.
    /// - Returns: the day whose lines they were, where the only bad lines are that day's.
    private func suspect(end id: RecordID) -> Range<UInt64>? {
        let file = read.first { $0.ids.contains(id) }?.file ?? read.last?.file
        let bad = suspects.filter { $0.line != nil }
        if let one = bad.first {
            return bad.allSatisfy { $0.span == one.span } && suspects.count == bad.count ? one.span : nil
        }
        guard let file, !suspects.contains(where: { $0.file == file.path }) else { return nil }
        suspects.append(
            LedgerDamage(
                file: file.path, span: file.span.lowerBound..<max(file.span.upperBound, openings.begin(after: id)),
                lines: 1,
                what: "lines behind \(id.text) are missing"))
        return nil
    }

    /// An account's first line is not there, nor any other line before it.
    private func suspect(beginning id: RecordID) {
        let empty = read.first { $0.ids.isEmpty && $0.file.level == nil }?.file
        guard let file = empty ?? read.first(where: { $0.ids.contains(id) })?.file ?? read.first?.file,
            !suspects.contains(where: { $0.file == file.path })
        else { return }
        suspects.append(
            LedgerDamage(file: file.path, span: file.span, lines: 1, what: "lines in front of \(id.text) are missing"))
    }

    /// A line that is not as it was written, and no id is missing: it may be the last of its opening, or nobody's.
    private func lose(_ bad: LedgerDamage) {
        guard let known = read.first(where: { $0.file.path == bad.file })?.ids, let last = known.ranges.last?.last else { return }
        let end = RecordID(node: last.node, epoch: last.epoch + 1, sequence: 0).place
        losses.append(Loss(node: last.node, first: last.place + 1, last: end))
    }

    /// The ids at the beginning and the end of a file, with what is between them.
    private func edges(of file: LedgerFile) throws(StorageFault) -> RecordRanges {
        if file.level != nil { return try seal(of: file)?.ids ?? RecordRanges() }
        if file.isCompressed { return try allIDs(of: file) }
        var edges = RecordRanges()
        var (first, last): (RecordID?, RecordID?)
        let reader = JournalReader(folder.files)
        do throws(StorageFault) {
            try reader.forward(folder.path(of: file)) { line in
                first = UsageRecord(line)?.id
                return first == nil
            }
            try reader.backward(folder.path(of: file)) { line in
                last = UsageRecord(line)?.id
                return last == nil
            }
        } catch { return edges }
        guard let first, let last else { return edges }
        if first.node == last.node, first.epoch == last.epoch, first.place <= last.place {
            edges.insert(RecordRanges.Range(first: first, last: last))
        } else {
            edges.insert(first)
            edges.insert(last)
        }
        return edges
    }

    private func allIDs(of file: LedgerFile) throws(StorageFault) -> RecordRanges {
        if file.level != nil { return try seal(of: file)?.ids ?? RecordRanges() }
        return try LinesOfFile(file, in: folder) { _ in }.ids
    }

    // MARK: Mending

    /// Looks whether the totals of the lines around what is lost tell what it was.
    private func mend(_ query: UsageQuery, _ body: Body) throws(StorageFault) {
        var mending = LossMending(merged(losses))
        try forEachRecord { mending.take($0, isInOrder: $1) }
        let result = mending.result(query, memory)
        var records = result.missing
        // The ids that are free; which of them was whose is not known, nor does it matter. One at a time: a gap may have
        // more of them than there is memory.
        var places = gaps.lazy.flatMap { gap in (0..<gap.count).lazy.map { gap.id($0) } }.makeIterator()
        for index in records.indices {
            if let id = places.next() ?? gaps.last?.last { records[index].id = id }
            body(records[index], nil)
        }
        mendedRecords = records
        if result.isCertain, result.isProven || !records.isEmpty && records.count == lost {
            mended = suspects
            // Else they are of another time, and no sum of this one may say that it has them.
            if records.allSatisfy({ query.covers($0, nil) }) { for gap in gaps { ids.insert(gap) } }
        } else {
            damage += suspects
        }
    }

    /// In the order of their places, those that overlap as one.
    private func merged(_ losses: [Loss]) -> [Loss] {
        var merged: [Loss] = []
        for loss in losses.sorted(by: { ($0.node, $0.first) < ($1.node, $1.first) }) {
            if let last = merged.last, last.node == loss.node, last.last >= loss.first {
                merged[merged.count - 1].last = max(last.last, loss.last)
                if last.span != loss.span { merged[merged.count - 1].span = nil }
            } else {
                merged.append(loss)
            }
        }
        return merged
    }

    /// All that the ledger says: lines, and sums that hold lines which are no longer there.
    private func forEachRecord(_ body: (_ record: UsageRecord, _ isInOrder: Bool) -> Void) throws(StorageFault) {
        var seen = RecordRanges()
        for file in files where file.level == nil {
            seen.insert(try LinesOfFile(file, in: folder) { body($0, true) }.ids)
        }
        // The finest first: of coarser ones only what they alone hold is of use.
        for file in files.filter({ $0.level != nil }).sorted(by: { $0.level! < $1.level! }) {
            guard let seal = try seal(of: file), !seen.covers(seal.ids) else { continue }
            seen.insert(seal.ids)
            try scan(file) { body($0, !seal.isFormer && seal.ids.gaps.isEmpty) }
        }
    }
    /// What totals tell of lines that are not there.
    private(set) var mendedRecords: [UsageRecord] = []

    private func scan(_ file: LedgerFile, _ body: (UsageRecord) -> Void) throws(StorageFault) {
        if file.level != nil, try seal(of: file) == nil { return }
        _ = try LinesOfFile(file, in: folder, body)
    }
}
