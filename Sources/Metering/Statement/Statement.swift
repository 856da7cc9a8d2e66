import Base
import Storage

/// One row of usage, as `gateway usage` and the admin API give it.
public struct UsageRow: Sendable, Equatable {
    /// Empty where a time is damaged of which nothing is known of anybody.
    public var tenant: String
    /// Wall times in nanoseconds: the period's bounds, or without periods what was asked for.
    public var from: UInt64
    public var to: UInt64
    public var usage: Usage
    /// Lines of its time that are damaged or missing, and what they said is not in it.
    public var damaged = 0

    public init(tenant: String, from: UInt64, to: UInt64, usage: Usage) {
        (self.tenant, self.from, self.to, self.usage) = (tenant, from, to, usage)
    }
}

/// Which usage is asked for.
public struct UsageQuery: Sendable, Equatable {
    /// nil is all tenants.
    public var tenant: String?
    /// What began at or after `from` and before `to`.
    public var from: UInt64?
    public var to: UInt64?
    /// nil adds everything up to one row a tenant.
    public var by: Period?
    /// Where nothing finer is kept, rows may be of longer periods than was asked for, and reach over the bounds.
    public var acceptsCoarse = false
    /// Sums are to be made of what is read: of lines where they are there, and of finer sums else.
    var isForSums = false
    /// Lines are to be read wherever they are there, whatever sums say.
    var readsLines = false

    public init(
        tenant: String? = nil, from: UInt64? = nil, to: UInt64? = nil, by: Period? = nil, acceptsCoarse: Bool = false
    ) {
        (self.tenant, self.from, self.to, self.by, self.acceptsCoarse) = (tenant, from, to, by, acceptsCoarse)
    }
}

/// What a ledger says about a time: rows by tenant and period.
public struct Statement: Sendable {
    /// By tenant, then by time.
    public private(set) var rows: [UsageRow] = []
    /// What is not as it was written, and can't be made good: rows may say too little.
    public private(set) var damage: [LedgerDamage] = []
    /// What is not as it was written, or not where it belongs, and what it said is known all the same.
    public private(set) var mended: [LedgerDamage] = []
    /// Lines that stand twice in a file; they count once.
    public private(set) var repeated = 0
    /// Paths of sums that are coarser than what was asked for, where nothing finer is kept; what they hold is not in the
    /// rows.
    public private(set) var tooCoarse: [String] = []
    /// All lines of the ledger that the rows were computed from, whosever they are.
    public private(set) var sources = RecordRanges()
    /// How many of them are of the tenants in the rows.
    public private(set) var records: UInt64 = 0

    public var damagedLines: Int { damage.reduce(0) { $0.addingClamped($1.lines) } }

    /// Reads the ledger's files in `folder`; of one that is written to meanwhile, what stands there by then. Without a
    /// folder there is no usage.
    /// - Parameter memory: what the meter table knows of the ledger, looked at before.
    public init(_ folder: LedgerFolder, query: UsageQuery, memory: LedgerMemory? = nil) throws(StorageFault) {
        self = try Statement(folder, query: query, memory: memory, shared: LedgerReader.Shared())
    }

    init(
        _ folder: LedgerFolder, query: UsageQuery, memory: LedgerMemory?, shared: LedgerReader.Shared
    ) throws(StorageFault) {
        self = try folder.look { () throws(StorageFault) in try Statement(reading: folder, query, memory, shared) }
    }

    private init(
        reading folder: LedgerFolder, _ query: UsageQuery, _ memory: LedgerMemory?, _ shared: LedgerReader.Shared
    ) throws(StorageFault) {
        let reader = try LedgerReader(folder, memory: memory, shared: shared)
        var sums: [Key: Sum] = [:]
        try reader.read(query) { record, level in
            guard record.account.key == nil, query.covers(record, level) else { return }
            records.addClamped(record.rolledUp?.lines ?? 1)
            let period = query.by.map { max($0, level ?? $0) }
            let start = period?.bounds(of: record.from).lowerBound ?? 0
            sums[Key(tenant: record.account.tenant, start: start, period: period), default: Sum()].add(record, level)
        }
        (damage, mended, repeated) = (reader.damage, reader.mended, reader.repeated)
        (tooCoarse, sources) = (reader.tooCoarse.map(\.path), reader.ids)
        rows = sums.map { key, sum in
            var bounds = (query.from ?? sum.from)..<max(query.to ?? sum.to, query.from ?? sum.from)
            if query.acceptsCoarse, let reach = sum.reach {
                bounds = min(bounds.lowerBound, reach.lowerBound)..<max(bounds.upperBound, reach.upperBound)
            }
            if let period = key.period { bounds = period.bounds(of: key.start) }
            return UsageRow(tenant: key.tenant, from: bounds.lowerBound, to: bounds.upperBound, usage: sum.usage)
        }
        rows.sort { ($0.tenant, $0.from) < ($1.tenant, $1.from) }
        markDamage(query)
    }

    /// Rows of a time in which something is damaged say so; where there is none for it, there is one without figures.
    private mutating func markDamage(_ query: UsageQuery) {
        if damage.isEmpty { return }
        for index in rows.indices {
            for one in damage where one.span.overlaps(rows[index].from..<max(rows[index].to, rows[index].from + 1)) {
                rows[index].damaged.addClamped(one.lines)
            }
        }
        // Of a period in which nothing else is known there is a row that says so, of nobody where all were asked for.
        var extra: [UInt64: UsageRow] = [:]
        for one in damage where !rows.contains(where: { one.span.overlaps($0.from..<max($0.to, $0.from + 1)) }) {
            let start = max(one.span.lowerBound, query.from ?? 0)
            var span = start..<max(query.to ?? one.span.upperBound, start)
            if let by = query.by {
                span = by.bounds(of: start)
            } else if let from = query.from {
                span = from..<span.upperBound
            }
            let row = UsageRow(tenant: query.tenant ?? "", from: span.lowerBound, to: span.upperBound, usage: Usage())
            extra[span.lowerBound, default: row].damaged.addClamped(one.lines)
        }
        if extra.isEmpty { return }
        rows += extra.values
        rows.sort { ($0.tenant, $0.from) < ($1.tenant, $1.from) }
    }

    private struct Key: Hashable {
        var tenant: String
        var start: UInt64
        /// A longer one than was asked for, where nothing finer is kept.
        var period: Period?
    }

    private struct Sum {
        var usage = Usage()
        var from = UInt64.max
        var to: UInt64 = 0
        /// The periods of the sums in it.
        var reach: Range<UInt64>?

        mutating func add(_ record: UsageRecord, _ level: Period?) {
            usage.add(record.usage)
            from = min(from, record.from)
            to = max(to, record.to)
            guard let bounds = level?.bounds(of: record.from) else { return }
            reach = min(reach?.lowerBound ?? .max, bounds.lowerBound)..<max(reach?.upperBound ?? 0, bounds.upperBound)
        }
    }
}

extension UsageQuery {
    /// A record belongs to the time at which its interval begins, a sum to its whole period; no interval reaches over an
    /// hour unless the disk was full for longer and the process then died.
    func covers(_ record: UsageRecord, _ level: Period?) -> Bool {
        if let tenant, tenant != record.account.tenant { return false }
        guard let level else { return record.from >= from ?? 0 && record.from < to ?? .max }
        return overlaps(level.bounds(of: record.from))
    }

    func overlaps(_ span: Range<UInt64>) -> Bool { span.upperBound > from ?? 0 && span.lowerBound < to ?? .max }
}
