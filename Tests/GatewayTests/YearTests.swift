import Base
import Configuration
import Foundation
import Metering
import Storage
import TestSupport
import Testing

@testable import Quotas

/// A year of a gateway's book-keeping in which everything goes wrong, with a model beside it that knows every request:
/// the real meters, quotas, ledger, rollups and invoices, on clocks and files that the test has in its hands.
///
/// Some weeks of a few seeds in a debug build;
/// `GATEWAY_YEARS=1000 swift test -c release -Xswiftc -enable-testing --filter Year` runs so many whole years, each of some
/// seconds, and `GATEWAY_YEARS=101-200` those seeds.
@Suite("A year in which everything goes wrong") struct YearTests {
    static let asked = ProcessInfo.processInfo.environment["GATEWAY_YEARS"]
    /// `1000`, or `101-200`.
    static var seeds: ClosedRange<UInt64> {
        let ends = (asked ?? "6").split(separator: "-").compactMap { UInt64($0) }
        return (ends.count > 1 ? ends[0] : 1)...(ends.last ?? 1)
    }

    @Test("quotas, sums and invoices are the model's, or the damage is named", arguments: seeds)
    func year(seed: UInt64) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("year-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var year = try Year(folder, seed: seed)
        for _ in 0..<Year.steps {
            try year.step()
            if let fault = year.fault {
                Issue.record("seed \(seed), \(Timestamp.text(year.now)): \(fault)")
                return
            }
        }
        try year.check(isLast: true)
        if let fault = year.fault { Issue.record("seed \(seed), at the end: \(fault)") }
    }
}

private let second: UInt64 = 1_000_000_000
private let hour = 3600 * second
private let day = 24 * hour

private struct Year {
    static let steps = YearTests.asked == nil ? 60 : 500
    let path: String
    var random: SeededGenerator
    /// What doesn't fit.
    var fault: String?

    // The world
    var clocks = Moment(monotonic: 1000 * second, wall: Timestamp.parse("2026-01-05T00:02:03Z")!)
    var trusted: TrustedTime
    let files = BreakingFiles()
    var now: UInt64 { trusted.time(at: clocks.monotonic) }

    // The gateway
    var table: MeterTable
    var ledger: Ledger<MeterTable>?
    var limits: [LimitSet] = []
    var enforcer: QuotaEnforcer
    var open: [(tenant: Int, admission: Admission)] = []
    var resetDay = 1
    var finest = Period.hour
    var retention: UInt64?
    var compression: UInt64?

    // The model
    struct Window {
        var end: UInt64 = 0
        var used: UInt64 = 0
        /// When it was first counted in.
        var began: UInt64 = 0
        /// The one before.
        var before: (end: UInt64, used: UInt64) = (0, 0)
    }
    let names = ["a", "b", "c"]
    let quotas: [(day: UInt64, month: UInt64)] = [(60, 700), (1000, 1000), (40, 5000)]
    var windows: [[Window]]
    /// Counted, and in no line yet.
    var pending: [Usage]
    /// By tenant and day.
    var book: [[UInt64: Usage]]

    init(_ path: String, seed: UInt64) throws {
        self.path = path
        random = SeededGenerator(state: seed)
        trusted = TrustedTime(clocks)
        table = try MeterTable(path: path + "/meters")
        enforcer = QuotaEnforcer(table: table, wall: 0)
        windows = names.map { _ in [Window(), Window()] }
        (pending, book) = (names.map { _ in Usage() }, names.map { _ in [:] })
        try configure()
        try openLedger()
    }

    /// True in so many of a hundred cases.
    mutating func happens(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    // MARK: A step of some hours

    mutating func step() throws {
        // To some time within an hour, not next to its edges.
        let wanted = clocks.monotonic + UInt64.random(in: 1...34, using: &random) * hour
        let target = now + (wanted - clocks.monotonic)
        let place = target - target % hour + UInt64.random(in: 60...3400, using: &random) * second
        pass(max(place, now + second) - now)
        observe()
        if happens(8) { try changeRules() }
        if happens(6) { try kill() }
        if happens(3) { try boot() }
        if happens(8) { try jump() } else { try serve() }
        settleSome()
        if happens(7) { try setClockWrongForLong() }
        if happens(25) { try rollUp() }
        if happens(12) { try damageOne() }
        if happens(6) { try check(isLast: false) }
    }

    mutating func pass(_ nanoseconds: UInt64) {
        clocks.monotonic += nanoseconds
        clocks.wall += nanoseconds
    }

    mutating func observe() {
        let before = trusted.offset
        _ = trusted.observe(clocks)
        if Int64(bitPattern: trusted.offset &- before).magnitude > TrustedTime.tolerance {
            for set in limits { set.rules.alignWindows(of: set.meter, QuotaCalendar(seconds: now / second)) }
            for tenant in windows.indices { align(tenant) }
        }
    }

    /// Forward or back for a moment: requests come, and the ledger is closed.
    mutating func jump() throws {
        let before = now
        let jump = [2, 90, 86_400, 31 * 86_400, 400 * 86_400].randomElement(using: &random)! * second
        let isBack = happens(50)
        clocks.wall = isBack ? clocks.wall - jump : clocks.wall + jump
        observe()
        if !trusted.isDoubtful || now != before { fault = "a jump by \(jump / second) s moved time" }
        try serve()
        pass(5 * second)
        clocks.wall = isBack ? clocks.wall + jump : clocks.wall - jump
        observe()
        if trusted.isDoubtful || now != before + 6 * second { fault = "a jump that was taken back left something behind" }
    }

    /// A clock that stands by it, and then is set right again.
    mutating func setClockWrongForLong() throws {
        let error = UInt64.random(in: 1...72, using: &random) * hour
        let isBack = happens(50)
        for sign in [isBack, !isBack] {
            clocks.wall = sign ? clocks.wall - error : clocks.wall + error
            observe()
            pass(601 * second)
            observe()
            if trusted.isDoubtful { fault = "a clock that stood by its time is not believed" }
            try serve()
            pass(300 * second)
        }
    }

    /// The machine is off for a while, and its clock may be wrong when it is back, and be set right or not.
    mutating func boot() throws {
        if happens(70) { try close() }
        (ledger, limits, open) = (nil, [], [])
        let known = trusted.known(at: clocks.monotonic)
        let isRight = trusted.state.doubtSince == 0
        pass(UInt64.random(in: 1...(happens(50) ? 2 : 100), using: &random) * hour)
        // Not next to an hour's edge.
        pass((hour + 600 * second - clocks.wall % hour) % hour)
        let right = clocks.wall &- clocks.monotonic
        let wrong = [0, 40 * day, 9 * hour, 0 &- 3 * hour, 0 &- clocks.wall &+ 300 * second].randomElement(using: &random)!
        clocks.wall &+= wrong
        trusted = TrustedTime(clocks, after: known)
        // What the ledger knows the boot by.
        table.setLedgerHeader(4, to: 1)
        table = try MeterTable(path: path + "/meters")
        enforcer = QuotaEnforcer(table: table, wall: 0)
        try configure()
        for tenant in windows.indices { align(tenant) }
        try openLedger()
        try serve()
        if !trusted.isStarting { return fault = "a clock is believed at a boot" }
        if happens(40) {
            pass(60 * second)
            observe()
            (ledger, limits, open) = (nil, [], [])
            table = try MeterTable(path: path + "/meters")
            trusted = TrustedTime(clocks, goingOn: trusted.state)
            enforcer = QuotaEnforcer(table: table, wall: 0)
            try configure()
            try openLedger()
            try serve()
        }
        // Set right, and believed.
        clocks.wall = right &+ clocks.monotonic
        observe()
        try serve()
        for _ in 0..<2 {
            pass(601 * second)
            observe()
        }
        if trusted.isDoubtful || isRight && now != clocks.wall { fault = "a clock that is right is not believed" }
        try serve()
    }

    // MARK: Requests

    func rules() -> [Range<UInt64>] {
        let calendar = QuotaCalendar(seconds: now / second)
        return [calendar.window(.day, resetDay: 1), calendar.window(.month, resetDay: resetDay)]
    }

    /// The rule or the time has changed.
    mutating func align(_ tenant: Int) {
        let present = now / hour
        for (index, rule) in rules().enumerated() {
            var window = windows[tenant][index]
            guard window.end > present, window.end != rule.upperBound else { continue }
            // Begun by a clock that was ahead. A day's window has but one place.
            let isMonth = index == 1
            if isMonth ? window.began > present || window.end > present + 31 * 24 : window.end > rule.upperBound {
                let isBack = window.before.end > present && window.before.end <= rule.upperBound
                let isKnown = !isBack || window.before.used == 0
                window.used += isBack ? window.before.used : 0
                (window.end, window.began) = (isBack ? window.before.end : rule.upperBound, isKnown ? present : 0)
            } else if window.began >= rule.lowerBound {
                window.end = rule.upperBound
            }
            windows[tenant][index] = window
        }
    }

    mutating func serve() throws {
        try close()
        for tenant in names.indices {
            for _ in 0..<Int.random(in: 0...12, using: &random) { ask(tenant) }
        }
        pass(second)
        try close()
    }

    mutating func ask(_ tenant: Int) {
        let terms = Terms(limits[tenant].usage, limits: nil)
        var admission = Admission(tenant: limits[tenant], key: nil, terms: terms)
        let verdict = enforcer.reserve(&admission, monotonic: clocks.monotonic, wall: now)
        // The model's windows.
        let present = now / hour
        var wait: UInt64?
        for (index, limit) in [quotas[tenant].day, quotas[tenant].month].enumerated() {
            let window = windows[tenant][index]
            if window.end > present, window.used + 1 > limit { wait = max(wait ?? 0, window.end * 3600 - now / second) }
        }
        guard verdict.isAdmitted == (wait == nil) else {
            fault = "\(names[tenant]) was \(verdict.isAdmitted ? "let in" : "shut out")"
            return
        }
        if let wait {
            if verdict.retryAfter != wait { fault = "Retry-After \(verdict.retryAfter), not \(wait)" }
            pending[tenant].refused[1] += 1
            return
        }
        for (index, rule) in rules().enumerated() {
            let old = windows[tenant][index]
            if old.end <= present {
                windows[tenant][index] = Window(end: rule.upperBound, used: 0, began: present, before: (old.end, old.used))
            }
            windows[tenant][index].used += 1
        }
        pending[tenant].admitted += 1
        kept.append(terms)
        if happens(20) { open.append((tenant, admission)) } else { settle(tenant, admission) }
    }
    /// Admissions hold no reference.
    var kept: [Terms] = []

    mutating func settle(_ tenant: Int, _ admission: Admission) {
        var admission = admission
        let isFailed = happens(15)
        let bytes = UInt64.random(in: 0...5000, using: &random)
        enforcer.settle(
            &admission, Outcome(status: isFailed ? 502 : 200, wasForwarded: true, isOwnAnswer: isFailed, responseBytes: bytes),
            monotonic: clocks.monotonic)
        pending[tenant].status[isFailed ? 4 : 1] += 1
        if isFailed {
            pending[tenant].uncharged += 1
            pending[tenant].refused[3] += 1
            let taken = [admission.end(of: .day), admission.end(of: .month)]
            for (index, end) in taken.enumerated() where windows[tenant][index].end == end || now / hour < end {
                windows[tenant][index].used -= min(1, windows[tenant][index].used)
            }
        } else {
            pending[tenant].responseBytes += bytes
            pending[tenant].cost += 1
        }
    }

    mutating func settleSome() {
        let some = open.filter { _ in Bool.random(using: &random) }
        open.removeAll()
        for one in some { settle(one.tenant, one.admission) }
        // The others never end, like those of a client that waits for ever; they are let go of with the process.
    }

    // MARK: The ledger

    /// What comes into a line that begins then.
    mutating func book(at from: UInt64) {
        for tenant in names.indices {
            book[tenant][from - from % day, default: Usage()].add(pending[tenant])
            pending[tenant] = Usage()
        }
    }

    mutating func close() throws {
        guard let ledger else { return try openLedger() }
        // Nobody knows what time it is.
        if trusted.isStarting { return }
        if happens(6) { files.fail(after: Int.random(in: 0...4, using: &random), forGood: happens(50)) }
        let from = began(ledger.written)
        if (try? ledger.close(at: now, offset: trusted.offset)) != nil { book(at: from) }
        files.fail(after: nil)
    }

    /// When an interval began, by the time that is believed now.
    func began(_ closed: UInt64) -> UInt64 {
        let before = table.ledgerHeader(32)
        let step = Int64(bitPattern: trusted.knownOffset &- before)
        let isSet = before != 0 && step.magnitude > second
        let known = trusted.known(at: clocks.monotonic)
        return min(isSet ? UInt64(Int64(closed) + step) : closed, known - known % 1_000_000)
    }

    mutating func openLedger() throws {
        let (closed, isSameBoot) = (table.ledgerHeader(5), table.ledgerHeader(4) != 1)
        let from = isSameBoot ? began(closed) : min(closed, trusted.known(at: clocks.monotonic))
        let journal = try Journal(folder: path + "/ledger", files: files)
        let opened = try Ledger.open(
            table: table, journal: journal, now: trusted.known(at: clocks.monotonic), offset: trusted.knownOffset,
            isStarting: trusted.isStarting, interval: 5 * second)
        guard let opened else { return fault = "the ledger is locked" }
        ledger = opened.ledger
        // It has closed what was under way.
        if !(trusted.isStarting && isSameBoot) { book(at: closed == 0 ? now : from) }
    }

    mutating func kill() throws {
        if let ledger, happens(50) {
            files.fail(after: Int.random(in: 0...6, using: &random), forGood: true)
            let from = began(ledger.written)
            if (try? ledger.close(at: now, offset: trusted.offset)) != nil { book(at: from) }
        }
        (ledger, limits) = (nil, [])
        open = []
        files.fail(after: nil)
        table = try MeterTable(path: path + "/meters")
        enforcer = QuotaEnforcer(table: table, wall: 0)
        if happens(30) { trusted = TrustedTime(clocks, goingOn: trusted.offset) }
        try configure()
        try openLedger()
    }

    // MARK: Rules

    mutating func configure() throws {
        limits = try names.indices.map { tenant in
            var usage = UsageSettings()
            usage.quotas = [
                QuotaSettings(count: quotas[tenant].day, period: .day), QuotaSettings(count: quotas[tenant].month, period: .month),
            ]
            usage.quotaResetDay = resetDay
            return LimitSet(
                usage, kind: .tenant, meter: try table.meter(tenant: names[tenant]),
                now: table.time.ticks(monotonic: clocks.monotonic), calendar: QuotaCalendar(seconds: now / second))
        }
        for tenant in windows.indices { align(tenant) }
    }

    mutating func changeRules() throws {
        finest = Period.allCases.randomElement(using: &random)!
        retention = [nil, 0, 3 * day, 40 * day].randomElement(using: &random)!
        compression = [nil, nil, day, 20 * day].randomElement(using: &random)!
        resetDay = Int.random(in: 1...31, using: &random)
        // Old admissions hold on to old limits.
        settleAll()
        try configure()
    }

    mutating func settleAll() {
        for one in open { settle(one.tenant, one.admission) }
        open = []
    }

    mutating func rollUp() throws {
        if trusted.isDoubtful { return }
        guard let ledger else { return }
        if happens(20) { files.fail(after: Int.random(in: 0...9, using: &random), forGood: happens(50)) }
        let rollup = Rollup(
            LedgerFolder(path + "/ledger", files: files), finest: finest, retention: retention, compression: compression,
            compressor: StoredCompressor())
        do {
            let report = try rollup.run(closed: ledger.written, memory: memory)
            if !report.damage.isEmpty { fault = "a rollup found \(report.damage)" }
        } catch {}
        files.fail(after: nil)
    }

    // MARK: Questions

    var memory: LedgerMemory? { MeterSnapshot(path: path + "/meters").flatMap { LedgerMemory($0) } }

    func statement(_ query: UsageQuery) throws -> Statement {
        try Statement(LedgerFolder(path + "/ledger"), query: query, memory: memory)
    }

    /// nil: it says what the model says. Else why not, and whether it was said.
    func difference(_ statement: Statement, by: Period, tenant: Int) -> String? {
        var wanted: [UInt64: Usage] = [:]
        for (day, usage) in book[tenant] where usage != Usage() { wanted[by.bounds(of: day).lowerBound, default: Usage()].add(usage) }
        var said: [UInt64: Usage] = [:]
        for row in statement.rows where row.tenant == names[tenant] { said[row.from, default: Usage()].add(row.usage) }
        for time in Set(wanted.keys).union(said.keys).sorted() where wanted[time] ?? Usage() != said[time] ?? Usage() {
            let (one, other) = (said[time]?.admitted ?? 0, wanted[time]?.admitted ?? 0)
            return "\(names[tenant]) by \(by), \(Timestamp.dayText(time)): \(one), not \(other)"
        }
        return nil
    }

    mutating func check(isLast: Bool) throws {
        if isLast { settleAll() }
        try close()
        try close()
        guard pending.allSatisfy({ $0 == Usage() }) else { return }
        for by in [Period.month, .day] {
            let statement = try statement(UsageQuery(by: by))
            if !statement.damage.isEmpty { return fault = "damage where there is none: \(statement.damage)" }
            if by == .day, !statement.tooCoarse.isEmpty { continue }
            if !statement.tooCoarse.isEmpty { return fault = "too coarse: \(statement.tooCoarse)" }
            for tenant in names.indices {
                guard let fault = difference(statement, by: by, tenant: tenant) else { continue }
                return self.fault = "\(fault); \(statement.mended)"
            }
        }
        try checkInvoice()
    }

    /// Of the last month that has ended: a price of its own from the twelfth.
    mutating func checkInvoice() throws {
        let month = Period.month.bounds(of: Period.month.bounds(of: now).lowerBound - day)
        let middle = month.lowerBound + 11 * day
        var prices = PriceSettings()
        prices.currency = "EUR"
        let (old, new) = (ExactDecimal("0.01")!, ExactDecimal("0.03")!)
        let perRequest = PriceLine.Kind.usage(.requests, per: 1, over: 0)
        prices.lines = [
            PriceLine(amount: old, kind: perRequest, text: "old"),
            PriceLine(amount: new, kind: perRequest, text: "new", from: middle / second),
        ]
        let terms = TenantTerms(plan: "p", prices: prices, charge: "forwarded")
        for tenant in names.indices {
            let parts = BillingPart.parts(of: month, [], current: terms, first: 1)
            let statements = try parts.map {
                try statement(UsageQuery(tenant: names[tenant], from: $0.span.lowerBound, to: $0.span.upperBound))
            }
            if statements.contains(where: { !$0.tooCoarse.isEmpty }) { continue }
            let invoice = try Invoice(
                tenant: names[tenant], month: month, parts: parts, statements: statements, currency: nil, isProvisional: false)
            func charged(_ span: Range<UInt64>) -> Int64 {
                book[tenant].filter { span.contains($0.key) }.values.reduce(0) { $0 + Int64($1.admitted) - Int64($1.uncharged) }
            }
            let first = max(charged(month.lowerBound..<middle), 0)
            let wanted = [first, max(charged(month), first) - first]
            if invoice.lines.map({ Int64($0.quantity) }) != wanted {
                let place = "invoice of \(names[tenant]), \(Timestamp.dayText(month.lowerBound))"
                fault = "\(place): \(invoice.lines.map(\.quantity)), not \(wanted)"
            }
            if invoice.damaged > 0 { fault = "a damaged invoice" }
        }
    }

    /// One file is changed, asked for, sometimes added up and cleaned up after, and then it is as it was.
    mutating func damageOne() throws {
        try close()
        try close()
        guard pending.allSatisfy({ $0 == Usage() }) else { return }
        let all = (FileManager.default.enumerator(atPath: path + "/ledger")?.allObjects as? [String] ?? [])
            .filter { $0.hasSuffix(".jsonl") || $0.hasSuffix(".gz") }.sorted()
        guard let name = all.randomElement(using: &random) else { return }
        let file = path + "/ledger/" + name
        guard let whole = FileManager.default.contents(atPath: file), !whole.isEmpty else { return }
        var bytes = [UInt8](whole)
        let place = Int.random(in: bytes.indices, using: &random)
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { Array($0) }
        let way = Int.random(in: 0..<6, using: &random)
        switch way {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes = []
        case 2: bytes.removeSubrange(place...)
        case 3 where !name.hasSuffix(".gz") && lines.count > 2:
            lines.remove(at: Int.random(in: 0..<lines.count - 1, using: &random))
            bytes = Array(lines.joined(separator: [0x0A]))
        case 4 where !name.hasSuffix(".gz") && lines.count > 2:
            let line = Int.random(in: 0..<lines.count - 1, using: &random)
            lines.insert(lines[line], at: line)
            bytes = Array(lines.joined(separator: [0x0A]))
        default:
            try FileManager.default.removeItem(atPath: file)
            bytes = []
        }
        if FileManager.default.fileExists(atPath: file) { try Data(bytes).write(to: URL(fileURLWithPath: file)) }
        let there = FileManager.default.contents(atPath: file)
        for by in [Period.month, .day] {
            let statement = try statement(UsageQuery(by: by))
            let isNamed = !statement.damage.isEmpty || !statement.tooCoarse.isEmpty
            for tenant in names.indices where !isNamed {
                guard let silent = difference(statement, by: by, tenant: tenant) else { continue }
                fault = "\(name) damaged (\(way)) without a word: \(silent); \(statement.mended)"
            }
        }
        if happens(40), let ledger {
            let rollup = Rollup(LedgerFolder(path + "/ledger"), finest: finest, retention: retention)
            _ = try rollup.run(closed: ledger.written, memory: memory)
        }
        // Unless it was made good meanwhile.
        if FileManager.default.contents(atPath: file) == there { try whole.write(to: URL(fileURLWithPath: file)) }
    }
}

/// The files of this machine, of which one call fails, or all after it.
private final class BreakingFiles: FileOperations, @unchecked Sendable {
    private let disk = DiskFiles()
    private var left: Int?
    private var isForGood = false

    func fail(after calls: Int?, forGood: Bool = false) { (left, isForGood) = (calls, forGood) }

    private func pass() throws(StorageFault) {
        guard let calls = left else { return }
        left = calls > 0 ? calls - 1 : isForGood ? 0 : nil
        if calls == 0 { throw .system("can't touch", path: "a test's file", code: ENOSPC) }
    }

    func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32 {
        if writing { try pass() }
        return try disk.open(path, writing: writing)
    }
    func close(_ descriptor: Int32) { disk.close(descriptor) }
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        try disk.read(descriptor, into: room, at: offset)
    }
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        try pass()
        return try disk.write(descriptor, bytes, at: offset)
    }
    func sync(_ descriptor: Int32) throws(StorageFault) { try pass() }
    func truncate(_ descriptor: Int32, to size: Int) throws(StorageFault) {
        try pass()
        try disk.truncate(descriptor, to: size)
    }
    func status(_ descriptor: Int32) throws(StorageFault) -> FileStatus { try disk.status(descriptor) }
    func status(path: String) throws(StorageFault) -> FileStatus? { try disk.status(path: path) }
    func list(_ folder: String) throws(StorageFault) -> [String] { try disk.list(folder) }
    func makeFolder(_ folder: String) throws(StorageFault) { try disk.makeFolder(folder) }
    func syncFolder(_ folder: String) throws(StorageFault) { try pass() }
    func rename(_ path: String, to new: String) throws(StorageFault) {
        try pass()
        try disk.rename(path, to: new)
    }
    func remove(_ path: String) throws(StorageFault) {
        try pass()
        try disk.remove(path)
    }
    func lock(_ descriptor: Int32) throws(StorageFault) -> Bool { try disk.lock(descriptor) }
}

/// Gzip's format without its compression (RFC 1951 section 3.2.4): no program has to be started.
private struct StoredCompressor: Compressor {
    func compress(_ input: Int32, into output: Int32) throws(StorageFault) {
        let files = DiskFiles()
        let size = try files.status(input).size
        var bytes = [UInt8](repeating: 0, count: size)
        _ = try files.read(input, into: &bytes, 0..<size, at: 0)
        var out: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
        var start = 0
        repeat {
            let count = min(65_535, size - start)
            out.append(start + count == size ? 1 : 0)
            for value in [count, count ^ 0xFFFF] { out += [UInt8(value & 0xFF), UInt8(value >> 8)] }
            out += bytes[start..<start + count]
            start += count
        } while start < size
        let crc = bytes.withUnsafeBytes { CRC32.checksum($0) }
        for value in [crc, UInt32(truncatingIfNeeded: size)] {
            for shift in [0, 8, 16, 24] as [UInt32] { out.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        try files.write(output, all: out, at: 0)
    }
}
