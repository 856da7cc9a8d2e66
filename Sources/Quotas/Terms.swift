import Base
import Configuration
import Storage

/// How requests of one route are counted, and the route's own limits.
public final class Terms: Sendable {
    /// What of them requests go by.
    struct Record {
        /// Cost units of a request.
        var cost: UInt64
        /// A response field that says what a request has cost, in lower case; empty for none.
        var costHeader: UnsafeRawBufferPointer
        var charge: ChargeRule
        /// nil: the route has none of its own.
        var level: Level?

        /// Whether a request that ended like this counts against quotas and is charged.
        func charges(_ outcome: Outcome) -> Bool {
            switch charge {
            case .admitted: true
            case .forwarded: outcome.wasForwarded && !(outcome.isOwnAnswer && (502...504).contains(outcome.status))
            case .classes(let classes): outcome.wasForwarded && classes & 1 << UInt8(clamping: outcome.status / 100) != 0
            }
        }
    }

    /// nil: the route has none of its own.
    public let limits: LimitSet?
    nonisolated(unsafe) let record: UnsafePointer<Record>
    private nonisolated(unsafe) let costHeader: UnsafeMutableBufferPointer<UInt8>

    public init(_ usage: UsageSettings, limits: LimitSet?) {
        self.limits = limits
        let name = Array((usage.costHeader ?? "").utf8)
        costHeader = .allocate(capacity: name.count)
        _ = costHeader.initialize(fromContentsOf: name)
        let record = UnsafeMutablePointer<Record>.allocate(capacity: 1)
        record.initialize(
            to: Record(
                cost: usage.cost, costHeader: UnsafeRawBufferPointer(costHeader), charge: usage.charge, level: limits?.level))
        self.record = UnsafePointer(record)
    }

    deinit {
        record.deallocate()
        costHeader.deallocate()
    }
}
