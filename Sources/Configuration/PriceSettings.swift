import Base

/// What a tenant pays, in one currency. Plan and `defaults` are merged in already: the nearest that names a price
/// replaces all prices of the others.
public struct PriceSettings: Sendable, Equatable {
    /// Three capital letters (ISO 4217); nil only without prices.
    public var currency: String?
    public var lines: [PriceLine] = []
    /// A price a month is charged by the days on which it held.
    public var isProrated: Bool?
    public init() {}

    /// The lines in force on a day: of those for the same units the one with the latest date that has come.
    /// - Parameter day: seconds since 1970.
    public func lines(on day: UInt64) -> [PriceLine] {
        lines.filter { line in
            line.from <= day
                && !lines.contains { $0.from <= day && $0.from > line.from && $0.kind.holdsWhere(line.kind) }
        }
    }
}

/// One `price` line.
public struct PriceLine: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// `price 49.00/month;`
        case monthly
        /// `price 0.20 per 1000 requests over 1000000;`: for what a month has of it past `over`, up to the `over` of
        /// the next line of the same measure.
        case usage(PriceMeasure, per: UInt64, over: UInt64)
    }
    public var amount: ExactDecimal
    public var kind: Kind
    /// As it was written.
    public var text: String
    /// Midnight of the day on which it begins, in seconds since 1970; zero is ever since.
    public var from: UInt64 = 0
    public init(amount: ExactDecimal, kind: Kind, text: String, from: UInt64 = 0) {
        (self.amount, self.kind, self.text, self.from) = (amount, kind, text, from)
    }

    /// nil is the month itself.
    public var measure: PriceMeasure? {
        if case .usage(let measure, _, _) = kind { return measure }
        return nil
    }
}

extension PriceLine.Kind {
    /// Whether both are for the same units: of a measure from the same quantity on, or of the month.
    func holdsWhere(_ other: PriceLine.Kind) -> Bool {
        switch (self, other) {
        case (.monthly, .monthly): true
        case (.usage(let measure, _, let over), .usage(let other, _, let start)): measure == other && over == start
        default: false
        }
    }
}

/// What a price is for: a figure of a usage row.
public enum PriceMeasure: String, Sendable, CaseIterable {
    /// Those admitted and charged, as quotas count them (`charge`).
    case requests
    case settled
    case requestBytes = "request_bytes"
    case responseBytes = "response_bytes"
    case upstreamMilliseconds = "upstream_ms"
    case cost
}

/// `ledger_interval`, `ledger_rollup`, `ledger_retention`, `ledger_compress`.
public struct LedgerSettings: Sendable, Equatable {
    /// What the days that are over are added up to.
    public enum Rollup: String, Sendable { case hour, day, month, off }
    /// Nanoseconds between two closings.
    public var interval: UInt64 = 5_000_000_000
    public var rollup = Rollup.hour
    /// Nanoseconds for which the lines of a day are kept once they are added up; nil is for ever.
    public var retention: UInt64?
    /// Nanoseconds after which the lines of a day are compressed once they are added up; nil is never.
    public var compression: UInt64?
    public init() {}
}
