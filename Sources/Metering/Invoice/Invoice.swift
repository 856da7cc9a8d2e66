import Base
import Configuration

/// What a tenant owes for a month: its prices applied to what the ledger says.
///
/// Each line is computed exactly and rounded once, to the currency's smallest unit, halves away from zero; the total is
/// the sum of the rounded lines, so that it adds up on paper.
public struct Invoice: Sendable, Equatable {
    public struct Line: Sendable, Equatable {
        /// The price as it is written in the configuration.
        public var price: String
        /// nil is the month itself.
        public var measure: PriceMeasure?
        /// What was used of it that this line is for.
        public var quantity: UInt64
        public var unitAmount: ExactDecimal
        public var per: UInt64
        public var amount: ExactDecimal
    }

    public var tenant: String
    public var plan: String?
    public var from: UInt64
    public var to: UInt64
    public var currency: String
    public var lines: [Line] = []
    public var total = ExactDecimal.zero
    public var usage: Usage
    /// The records of the ledger that it was computed from.
    public var sources: RecordRanges
    /// The month is not over, and the figures may grow.
    public var isProvisional: Bool

    public enum Fault: Error, Equatable {
        /// An amount is past what can be written down.
        case overflow(price: String)
    }

    /// - Parameters:
    ///   - statement: of that tenant and month, with its sources, without periods.
    ///   - now: wall time, nanoseconds.
    public init(
        tenant: String, plan: String?, prices: PriceSettings, month: Range<UInt64>, statement: Statement, now: UInt64
    ) throws(Fault) {
        (self.tenant, self.plan, from, to) = (tenant, plan, month.lowerBound, month.upperBound)
        currency = prices.currency ?? ""
        usage = statement.rows.first { $0.tenant == tenant }?.usage ?? Usage()
        sources = statement.sources
        isProvisional = now < month.upperBound
        let places = Currency.places(currency)
        for price in prices.lines {
            let line = try Self.line(price, prices.lines, usage, places)
            guard let sum = total.adding(line.amount) else { throw .overflow(price: price.text) }
            total = sum
            lines.append(line)
        }
    }

    private static func line(
        _ price: PriceLine, _ all: [PriceLine], _ usage: Usage, _ places: Int
    ) throws(Fault) -> Line {
        var line = Line(
            price: price.text, measure: nil, quantity: 1, unitAmount: price.amount, per: 1, amount: .zero)
        if case .usage(let measure, let per, let over) = price.kind {
            (line.measure, line.per) = (measure, per)
            // Up to where the next line of the same measure begins.
            var end = UInt64.max
            for next in all {
                if case .usage(let other, _, let start) = next.kind, other == measure, start > over {
                    end = min(end, start)
                }
            }
            let used = min(usage.quantity(of: measure), end)
            line.quantity = used > over ? used - over : 0
        }
        guard let amount = price.amount.times(line.quantity, per: line.per, places: places) else {
            throw .overflow(price: price.text)
        }
        line.amount = amount
        return line
    }
}

extension Usage {
    func quantity(of measure: PriceMeasure) -> UInt64 {
        switch measure {
        case .requests: admitted
        case .settled: settled
        case .requestBytes: requestBytes
        case .responseBytes: responseBytes
        case .upstreamMilliseconds: upstreamMilliseconds
        case .cost: UInt64(max(cost, 0))
        }
    }
}
