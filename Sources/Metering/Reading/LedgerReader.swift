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
    let files: [LedgerFile]
    private let opened: OpenedFiles
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

    /// What totals tell of lines that are not there, as far as it is certain.
    private(set) var mendedRecords: [UsageRecord] = []
    /// What was made good and may be of this time or of another.
    private(set) var ambiguous: [LedgerDamage] = []

    /// Looks at the whole ledger, whether anything is missing or not.
    var isThorough = false
    private let shared: Shared
    private let hasTurn: Bool
    private var isUnsound = false
    private var chains = AccountChains()
    /// Lines that the first lines of openings name as those before them.
    private(set) var openingEnds = RecordRanges()
    private var read: [(file: LedgerFile, ids: RecordRanges)] = []

    /// What readers of one ledger need to find out once.
    final class Shared {
        private var last: (files: [LedgerFile], opened: OpenedFiles, diagnosis: LedgerDiagnosis)?

        /// - Parameters:
        ///   - files: these are left out of it.
        ///   - opened: what is known of the others, which must be as they were.
        fileprivate func diagnosis(
            without files: [LedgerFile], _ opened: OpenedFiles, _ make: () throws(StorageFault) -> LedgerDiagnosis
        ) throws(StorageFault) -> LedgerDiagnosis {
            if let last, last.files == files, last.opened.isGood(for: opened) { return last.diagnosis }
            let diagnosis = try make()
            last = (files, opened, diagnosis)
            return diagnosis
        }
    }

    typealias Body = (_ record: UsageRecord, _ level: Period?) -> Void

    /// - Parameter hasTurn: nobody else moves lines meanwhile.
    init(
        _ folder: LedgerFolder, memory: LedgerMemory? = nil, shared: Shared = Shared(), hasTurn: Bool = false
    ) throws(StorageFault) {
        self.hasTurn = hasTurn
        opened = OpenedFiles(folder.files)
        (self.folder, self.memory, self.shared) = (LedgerFolder(folder.path, files: opened), memory, shared)
        (files, foreign) = try self.folder.contents()
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
        if try isSuspicious(query) { try complete(query, body) }
        try expectSame()
    }

    /// Throws what begins the question anew where files were changed while they were read, or came: lines may have been moved
    /// to them. New sums say nothing new; but where something is missing they may be what was not listed. Who has his turn is
    /// not kept by what comes: others append only, and a new day is one of which nothing was asked.
    func expectSame() throws(StorageFault) {
        try opened.expectSame()
        if hasTurn { return }
        try opened.expectNoNew(in: folder.path) { LedgerFile(name: $0, inRollups: false) != nil }
        if damage.isEmpty, tooCoarse.isEmpty { return }
        try opened.expectNoNew(in: folder.rollups) { LedgerFile(name: $0, inRollups: true) != nil }
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
        // Asked for days, nobody needs to read all sums of the month for each of them.
        if file.isFineEnough(for: query), !query.readsLines, try holdsFinerSums(of: month, seal) {
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
        var found: Seal?
        // Where a clock went back a sum has lines of two times, and tells nothing of what was before it.
        let isInOrder = !seal.isFormer && seal.ids.gaps.isEmpty
        try JournalReader(folder.files).forward(folder.path(of: file)) { line in
            guard let record = UsageRecord(line) else {
                found = Seal(line)
                return true
            }
            chains.take(record, isInOrder: isInOrder)
            body(record, file.level)
            return true
        }
        // Written anew since it was looked at.
        guard seal.isFormer || found == seal else { throw StorageFault.changed(path: folder.path(of: file)) }
        ids.insert(seal.ids)
        openingEnds.insert(seal.ends)
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
            if record.rolledUp != nil { self.ids.insert(record.range) }
            self.chains.take(record)
            if let before = record.before { self.openingEnds.insert(before) }
            body(record, nil)
        }
        if let size { sources.append(Seal.Source(file: file.path, size: size, ids: scan.ids)) }
        repeated += scan.repeated
        read.append((file, scan.ids))
        if !scan.isSound { isUnsound = true }
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

    /// Whether all that was added up in it is in files that are there still, finer ones. What was made good is in none, unless
    /// it was written since.
    private func isHeldByFiner(_ seal: Seal) throws(StorageFault) -> Bool {
        if seal.isFormer { return false }
        var held = RecordRanges()
        for source in seal.of {
            if source.file.hasPrefix(LedgerFile.rollupFolder + "/") {
                let name = String(source.file.dropFirst(LedgerFile.rollupFolder.utf8.count + 1))
                guard let file = LedgerFile(name: name, inRollups: true) else { return false }
                if try folder.size(of: source.file) != nil, let finer = try self.seal(of: file) {
                    held.insert(finer.ids)
                    continue
                }
                // What it was made of may be there.
                for other in days[file.span.lowerBound] ?? [] where other != file {
                    if other.level == nil {
                        held.insert(try LinesOfFile(other, in: folder) { _ in }.ids)
                    } else if let finer = try self.seal(of: other) {
                        held.insert(finer.ids)
                    }
                }
            } else {
                if try source.isThere(in: folder) { held.insert(source.ids) }
            }
        }
        if held.covers(seal.ids) { return true }
        guard let span = LedgerFile(name: seal.name, inRollups: true)?.span else { return false }
        for file in lineFiles(in: span) { held.insert(try LinesOfFile(file, in: folder) { _ in }.ids) }
        return held.covers(seal.ids)
    }

    /// Months of which the sum holds what no finer file does: with coarse rows allowed they are one.
    var coarseMonths: Set<Range<UInt64>> {
        get throws(StorageFault) {
            var found: Set<Range<UInt64>> = []
            for (_, file) in months {
                if let seal = try seal(of: file), try !isHeldByFiner(seal) { found.insert(file.span) }
            }
            return found
        }
    }

    /// Whether a day's sums of that month can't be read and nothing finer can.
    private func daysAreBroken(_ month: Range<UInt64>) throws(StorageFault) -> Bool {
        for file in sums(in: month) where try seal(of: file) == nil {
            if days[file.span.lowerBound]!.allSatisfy({ $0.level != nil }) { return true }
        }
        return false
    }

    // MARK: What is missing

    /// Whether something may be missing of what was asked for: only then is the rest of the ledger looked at.
    private func isSuspicious(_ query: UsageQuery) throws(StorageFault) -> Bool {
        if isUnsound || isThorough { return true }
        if read.isEmpty, memory?.last == nil { return false }
        var known = ids
        let spans = read.map(\.file.span)
        let start = spans.map(\.lowerBound).min() ?? query.from ?? 0
        let end = spans.map(\.upperBound).max() ?? query.to ?? .max
        let before = files.filter { $0.span.upperBound <= start && $0.level != .month }.max {
            $0.span.upperBound < $1.span.upperBound
        }
        let after = files.filter { $0.span.lowerBound >= end && $0.level != .month }.min {
            $0.span.lowerBound < $1.span.lowerBound
        }
        var (earlier, ends) = (RecordRanges(), openingEnds)
        for neighbour in [before, after] {
            guard let neighbour else { continue }
            let edges = try edges(of: neighbour)
            known.insert(edges)
            if neighbour == before { earlier = edges }
            // How one opening ended and another began only totals tell.
            if ids.sharesOpening(with: edges) { continue }
            if neighbour.level != nil {
                let isInOrder = try seal(of: neighbour)?.ids.gaps.isEmpty == true
                guard let seal = try seal(of: neighbour) else { continue }
                if neighbour == after { ends.insert(seal.ends) }
                _ = try LinesOfFile(neighbour, in: folder) { chains.take($0, isInOrder: isInOrder) }
            } else {
                let scan = try LinesOfFile(neighbour, in: folder) { chains.take($0) }
                known.insert(scan.ids)
                for before in scan.stretches.compactMap(\.before) { ends.insert(before) }
            }
        }
        // What is missing in front of the file before is of another time.
        if known.gapsAndStarts.contains(where: { $0.first.sequence > 1 || !earlier.contains($0.next) }) { return true }
        for range in ends.ranges {
            var rest = RecordRanges()
            rest.insert(range)
            if !known.covers(rest), earlier.first(behind: range.last.place, of: range.last.node) == nil { return true }
        }
        if after == nil, let last = memory?.last, !known.contains(last) { return true }
        return chains.isBroken(fromStart: !files.contains { $0.span.upperBound <= start })
    }

    /// The ids at the beginning and the end of a file, with what is between them.
    private func edges(of file: LedgerFile) throws(StorageFault) -> RecordRanges {
        if file.level != nil { return try seal(of: file)?.ids ?? RecordRanges() }
        if file.isCompressed { return try LinesOfFile(file, in: folder) { _ in }.ids }
        var edges = RecordRanges()
        var (first, last): (RecordID?, RecordID?)
        let reader = JournalReader(folder.files)
        func id(_ line: UnsafeRawBufferPointer) -> RecordID? {
            UsageRecord(line).flatMap { file.span.contains($0.from) ? $0.id : nil }
        }
        do throws(StorageFault) {
            try reader.forward(folder.path(of: file)) { line in
                first = id(line)
                return first == nil
            }
            try reader.backward(folder.path(of: file)) { line in
                last = id(line)
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

    // MARK: What is made good

    /// Files that have lines of other days, and those days.
    private(set) var strayFiles: [LedgerFile] = []
    private(set) var strayDays: Set<UInt64> = []

    /// What is known of what is missing, and lines that stand in other days' files.
    private func complete(_ query: UsageQuery, _ body: Body) throws(StorageFault) {
        // What only coarser sums hold is no answer.
        let useless = files.filter { file in
            file.level != nil && query.overlaps(file.span) && !file.isFineEnough(for: query)
                && !tooCoarse.contains(file)
                && !read.contains { $0.file == file }
        }
        let diagnosis = try shared.diagnosis(without: useless, opened) { () throws(StorageFault) in
            let useful = files.filter { !useless.contains($0) }
            return try LedgerDiagnosis(folder, useful, memory: memory) { file throws(StorageFault) in
                try self.seal(of: file)
            }
        }
        (strayFiles, strayDays) = (diagnosis.strays, diagnosis.strayDays)
        for file in diagnosis.strays {
            let isRead = read.contains { $0.file == file }
            var found = 0
            let scan = try LinesOfFile(
                file, in: folder,
                strays: { record in
                    guard query.covers(record.from), self.ids.insert(record.id) else { return }
                    if record.rolledUp != nil { self.ids.insert(record.range) }
                    found += 1
                    body(record, nil)
                }
            ) { _ in }
            if found > 0, !isRead, !query.overlaps(file.span), let misplaced = scan.misplaced {
                mended.append(misplaced)
            }
        }
        let answer = diagnosis.answer(query)
        damage += answer.damage
        mended += answer.mended
        (ambiguous, mendedRecords) = (answer.ambiguous, answer.certain)
        // Sums that were written since the ledger was looked at have them already.
        for record in answer.records where !ids.contains(record.id) { body(record, nil) }
        ids.insert(answer.ids)
    }
}
