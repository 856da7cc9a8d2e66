import Storage

/// What the ledger needs of the table that counts. `MeterTable` is the real one; tests have one that stops anywhere.
///
/// Each slot has words of the ledger's own (`Shadow`), and so has the table's header (`LedgerState`): they live and die
/// with the counters.
public protocol UsageTable: AnyObject {
    associatedtype Slot

    /// How often the table was opened.
    var epoch: UInt64 { get }
    /// Differs after the machine stopped: what was in memory then may be older than what was on the disk.
    var boot: UInt64 { get }
    /// All slots of tenants and keys, also of those that the configuration no longer has, until they are released.
    func forEachAccount(_ body: (Slot) -> Void)
    func account(of slot: Slot) -> Account
    /// Names the slot in this process.
    func index(of slot: Slot) -> Int
    func counters(of slot: Slot) -> UsageCounters
    /// Makes the counters at least those, as if they had been counted.
    func raise(_ slot: Slot, from counters: UsageCounters, to wanted: UsageCounters)
    func inFlight(of slot: Slot) -> UInt64
    /// How many of the admitted came in the first seconds of an hour (`QuotaCalendar.early`).
    func early(of slot: Slot) -> UInt64
    func word(_ word: Int, of slot: Slot) -> UInt64
    func setWord(_ word: Int, of slot: Slot, to value: UInt64)
    func headerWord(_ word: Int) -> UInt64
    func setHeaderWord(_ word: Int, to value: UInt64)
    /// The configuration no longer has it.
    func isRetired(_ slot: Slot) -> Bool
    /// A retired slot has nothing in flight and nothing that the ledger has not said: it may be given to another.
    func release(_ slot: Slot)
    /// Returns when all of the table is on the disk.
    func sync() throws(StorageFault)
}

extension MeterTable: UsageTable {
    public func forEachAccount(_ body: (Meter) -> Void) {
        forEach { meter in
            // A settled slot may be given away at any moment, and its words cleared while they are read.
            if meter.kind != .route, !meter.isSettled { body(meter) }
        }
    }

    public func account(of meter: Meter) -> Account {
        if meter.kind == .key {
            return Account(tenant: self.meter(at: meter.parent)?.name ?? "", key: meter.name)
        }
        return Account(tenant: meter.name)
    }

    public func index(of meter: Meter) -> Int { meter.index }

    public func counters(of meter: Meter) -> UsageCounters {
        var counters = UsageCounters()
        for (index, cell) in Meter.Cell.counters.enumerated() { counters.words[index] = meter.value(cell) }
        return counters
    }

    public func raise(_ meter: Meter, from counters: UsageCounters, to wanted: UsageCounters) {
        for (index, cell) in Meter.Cell.counters.enumerated() {
            let isCost = index == UsageCounters.Counter.cost.rawValue
            if isCost || counters.words[index] < wanted.words[index] {
                meter.add(wanted.words[index] &- counters.words[index], to: cell)
            }
        }
    }

    public func inFlight(of meter: Meter) -> UInt64 { meter.inFlight }
    public func early(of meter: Meter) -> UInt64 { meter.value(.early) }
    public func word(_ word: Int, of meter: Meter) -> UInt64 { meter.value(.ledger(word)) }
    public func setWord(_ word: Int, of meter: Meter, to value: UInt64) { setLedgerWord(word, of: meter, to: value) }
    public func headerWord(_ word: Int) -> UInt64 { ledgerHeader(word) }
    public func setHeaderWord(_ word: Int, to value: UInt64) { setLedgerHeader(word, to: value) }
    public func isRetired(_ meter: Meter) -> Bool { meter.isRetired }
    public func release(_ meter: Meter) { settle(meter) }
}
