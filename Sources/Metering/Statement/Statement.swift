import Base
import Storage

/// One row of usage, as `gateway usage` and the admin API give it.
public struct UsageRow: Sendable, Equatable {
    public var tenant: String
    /// Wall times in nanoseconds: the period's bounds, or without periods what was asked for.
    public var from: UInt64
    public var to: UInt64
    public var usage: Usage

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

    public init(tenant: String? = nil, from: UInt64? = nil, to: UInt64? = nil, by: Period? = nil) {
        (self.tenant, self.from, self.to, self.by) = (tenant, from, to, by)
    }
}

/// What a ledger says about a time: rows by tenant and period.
public struct Statement: Sendable {
    /// By tenant, then by time.
    public private(set) var rows: [UsageRow] = []
    /// Lines that are not as they were written, and which are not in the rows.
    public private(set) var damagedLines = 0
    public private(set) var damagedFiles: [String] = []
    /// The records that the rows were computed from, where they were asked for.
    public private(set) var sources = RecordRanges()

    /// Reads the ledger's files in `folder`; of one that is written to meanwhile, what stands there by then. Without a
    /// folder there is no usage.
    public init(
        _ folder: LedgerFolder, query: UsageQuery, noteSources: Bool = false
    ) throws(StorageFault) {
        var sums: [Key: Sum] = [:]
        for file in LedgerFile.selection(of: try folder.list(), for: query) {
            let bad = try JournalReader(folder.files).forward(folder.readPath(of: file)) { line in
                guard let record = UsageRecord(line) else {
                    damagedLines += 1
                    return true
                }
                guard record.account.key == nil, query.covers(record) else { return true }
                if noteSources { sources.add(record.id) }
                let start = query.by?.bounds(of: record.from).lowerBound ?? 0
                sums[Key(tenant: record.account.tenant, start: start), default: Sum()].add(record)
                return true
            }
            if bad > 0 { damagedFiles.append(file.path) }
            damagedLines += bad
        }
        rows = sums.map { key, sum in
            var bounds = (query.from ?? sum.from)..<max(query.to ?? sum.to, query.from ?? sum.from)
            if let by = query.by { bounds = by.bounds(of: key.start) }
            return UsageRow(tenant: key.tenant, from: bounds.lowerBound, to: bounds.upperBound, usage: sum.usage)
        }
        rows.sort { ($0.tenant, $0.from) < ($1.tenant, $1.from) }
        sources.close()
    }

    private struct Key: Hashable {
        var tenant: String
        var start: UInt64
    }

    private struct Sum {
        var usage = Usage()
        var from = UInt64.max
        var to: UInt64 = 0

        mutating func add(_ record: UsageRecord) {
            usage.add(record.usage)
            from = min(from, record.from)
            to = max(to, record.to)
        }
    }
}

extension UsageQuery {
    /// A record belongs to the time at which its interval begins; no interval reaches over an hour unless the disk was
    /// full for longer and the process then died.
    func covers(_ record: UsageRecord) -> Bool {
        if let tenant, tenant != record.account.tenant { return false }
        return record.from >= from ?? 0 && record.from < to ?? .max
    }
}
