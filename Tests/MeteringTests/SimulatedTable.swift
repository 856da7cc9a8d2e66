import Foundation
import Metering
import Storage
import Synchronization

/// A meter table in memory, whose owner may die before any store of the ledger's. What was stored stays.
final class SimulatedTable: UsageTable {
    struct Slot { var index: Int }

    var epoch: UInt64 = 1
    var boot: UInt64 = 1
    var accounts: [Account] = []
    var counted: [UsageCounters] = []
    var flying: [UInt64] = []
    var words: [[UInt64]] = []
    var header = [UInt64](repeating: 0, count: 64)
    var earlyOnes: [Int: UInt64] = [:]
    var retired: Set<Int> = []
    var released: Set<Int> = []
    /// Stores until the death; nil lives on.
    var storesLeft: Int?
    /// They end with the process.
    var files: FailingFiles?

    func add(_ account: Account) {
        accounts.append(account)
        counted.append(UsageCounters())
        flying.append(0)
        words.append([UInt64](repeating: 0, count: 24))
    }

    private func pass() -> Bool {
        guard let left = storesLeft else { return true }
        storesLeft = max(0, left - 1)
        if left == 0 { files?.kill() }
        return left > 0
    }

    func forEachAccount(_ body: (Slot) -> Void) {
        for index in accounts.indices where !released.contains(index) { body(Slot(index: index)) }
    }
    func account(of slot: Slot) -> Account { accounts[slot.index] }
    func index(of slot: Slot) -> Int { slot.index }
    func counters(of slot: Slot) -> UsageCounters { counted[slot.index] }
    func raise(_ slot: Slot, from counters: UsageCounters, to wanted: UsageCounters) { counted[slot.index] = wanted }
    func inFlight(of slot: Slot) -> UInt64 { flying[slot.index] }
    func early(of slot: Slot) -> UInt64 { earlyOnes[slot.index, default: 0] }
    func word(_ word: Int, of slot: Slot) -> UInt64 { words[slot.index][word] }
    func setWord(_ word: Int, of slot: Slot, to value: UInt64) { if pass() { words[slot.index][word] = value } }
    func headerWord(_ word: Int) -> UInt64 { header[word] }
    func setHeaderWord(_ word: Int, to value: UInt64) { if pass() { header[word] = value } }
    func isRetired(_ slot: Slot) -> Bool { retired.contains(slot.index) }
    func release(_ slot: Slot) { released.insert(slot.index) }
    func sync() throws(StorageFault) {}

    /// Something happens to an account.
    func use(_ index: Int, _ random: inout some RandomNumberGenerator) {
        counted[index][.admitted] += UInt64.random(in: 1...5, using: &random)
        counted[index].words[UsageCounters.Counter.status1xx.rawValue + Int.random(in: 0..<5, using: &random)] += 1
        counted[index].words[UsageCounters.Counter.refusedByRate.rawValue + Int.random(in: 0..<4, using: &random)] += 1
        counted[index][.shadowRefused] += UInt64.random(in: 0...1, using: &random)
        counted[index][.requestBytes] += UInt64.random(in: 0...100, using: &random)
        counted[index][.responseBytes] += UInt64.random(in: 0...100_000, using: &random)
        counted[index][.upstreamMicroseconds] += UInt64.random(in: 0...5000, using: &random)
        counted[index][.cost] &+= UInt64(bitPattern: Int64.random(in: -2...5, using: &random))
    }
}

/// All that the files of a ledger say.
struct Books {
    var records: [UsageRecord] = []
    var sums: [Account: Usage] = [:]
    var ids: Set<RecordID> = []

    init(_ folder: String) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".jsonl") }
            .sorted()
        for name in names {
            try JournalReader().forward(folder + "/" + name) { line in
                if let record = UsageRecord(line) { records.append(record) }
                return true
            }
        }
        for record in records {
            sums[record.account, default: Usage()].add(record.usage)
            ids.insert(record.id)
        }
    }
}

/// The files of this machine, of which one call fails, or all after it.
final class FailingFiles: FileOperations {
    private let disk = DiskFiles()
    private let left = Mutex<(calls: Int?, forGood: Bool)>((nil, false))

    /// The call number `index` from now on fails, and with `forGood` every later one.
    func fail(after index: Int?, forGood: Bool = false) { left.withLock { $0 = (index, forGood) } }

    /// The process is dead: no call does anything.
    func kill() { left.withLock { $0 = (-1, true) } }
    private var isDead: Bool { left.withLock { $0.calls == -1 } }

    private func pass() throws(StorageFault) {
        let fails: Bool = left.withLock { left in
            guard let calls = left.calls else { return false }
            left.calls = calls > 0 ? calls - 1 : left.forGood ? calls : nil
            return calls <= 0
        }
        if fails { throw .system("can't touch", path: "a test's file", code: ENOSPC) }
    }

    func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32 {
        if writing { try pass() }
        return try disk.open(path, writing: writing)
    }
    func close(_ descriptor: Int32) { disk.close(descriptor) }
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault) -> Int
    {
        try disk.read(descriptor, into: room, at: offset)
    }
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        do throws(StorageFault) {
            try pass()
        } catch {
            if isDead { throw error }
            _ = try disk.write(
                descriptor, UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2 + 1)]), at: offset)
            throw error
        }
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
