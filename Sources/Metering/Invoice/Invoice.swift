import Base
import Configuration

/// What a tenant owes for a month: its prices applied to what the ledger says.
///
/// Each line is computed exactly and rounded once, to the currency's smallest unit, halves away from zero; the total is
/// the sum of the rounded lines, so that it adds up on paper. Where prices change within the month each part of it is at
/// its own; what a month has used counts on over its parts, for prices that begin `over` so much.
public struct Invoice: Sendable, Equatable {
    public struct Line: Sendable, Equatable {
        /// The price as it is written in the configuration.
        public var price: String
        /// nil is the month itself.
        public var measure: PriceMeasure?
        /// What was used of it that this line is for; of a month that is charged in part, its days.
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
    public var usage = Usage()
    /// Which requests are charged, as `charge` has it.
    public var charge = "forwarded"
    /// The lines of the ledger that it was computed from, with those of others among them, and how many were its own.
    public var sources = RecordRanges()
    public var records: UInt64 = 0
    /// Lines of the ledger that are damaged or missing, and what they said is not in it.
    public var damaged = 0
    /// The month is not over, or not all of it is in the ledger: the figures may grow.
    public var isProvisional: Bool

    public enum Fault: Error, Equatable {
        /// An amount is past what can be written down.
        case overflow(price: String)
        /// Parts of the month have prices in different currencies.
        case currencies(String, String)
    }

    /// - Parameters:
    ///   - parts: of the month, in the order of time.
    ///   - statements: what was used in each of them, without periods.
    ///   - damagedTerms: lines that are damaged of what was noted of plans and prices.
    public init(
        tenant: String, month: Range<UInt64>, parts: [BillingPart], statements: [Statement], currency: String?,
        damagedTerms: Int = 0, isProvisional: Bool
    ) throws(Fault) {
        (self.tenant, from, to, self.isProvisional) = (tenant, month.lowerBound, month.upperBound, isProvisional)
        let currencies = parts.compactMap(\.terms.prices.currency)
        self.currency = currencies.last ?? currency ?? ""
        for other in currencies where other != self.currency { throw .currencies(other, self.currency) }
        damaged = damagedTerms
        plan = parts.last?.terms.plan
        charge = parts.last?.terms.charge ?? charge
        var items = Items(places: Currency.places(self.currency), month: month)
        for (part, statement) in zip(parts, statements) {
            let used = statement.rows.filter { $0.tenant == tenant }.reduce(into: Usage()) { $0.add($1.usage) }
            items.add(part, from: usage, used, isFirst: part == parts.first)
            usage.add(used)
            sources.insert(statement.sources)
            records.addClamped(statement.records)
            damaged.addClamped(statement.damagedLines)
        }
        lines = try items.lines()
        for line in lines {
            guard let sum = total.adding(line.amount) else { throw .overflow(price: line.price) }
            total = sum
        }
    }
}

/// What is to be paid for, price by price: a price that goes on over parts of the month is rounded once.
private struct Items {
    private struct Item {
        var price: PriceLine
        /// Where the next price of the same measure begins.
        var end: UInt64
        var quantity: UInt64
        var per: UInt64
    }

    private let places: Int
    private let monthDays: UInt64
    private var items: [Item] = []

    init(places: Int, month: Range<UInt64>) {
        (self.places, monthDays) = (places, (month.upperBound - month.lowerBound) / Timestamp.day)
    }

    mutating func add(_ part: BillingPart, from before: Usage, _ used: Usage, isFirst: Bool) {
        var after = before
        after.add(used)
        for price in part.lines {
            switch price.kind {
            case .monthly:
                if part.terms.prices.isProrated == true {
                    add(price, end: 0, part.days, per: monthDays)
                } else if isFirst {
                    add(price, end: 0, 1, per: 1)
                }
            case .usage(let measure, let per, let over):
                // Up to where the next line of the same measure begins.
                let end = part.lines.reduce(UInt64.max) { end, next in
                    guard case .usage(measure, _, let start) = next.kind, start > over else { return end }
                    return min(end, start)
                }
                func reached(_ usage: Usage) -> UInt64 { max(min(usage.quantity(of: measure), end), over) }
                let (one, other) = (reached(before), reached(after))
                add(price, end: end, other > one ? other - one : 0, per: per)
            }
        }
    }

    private mutating func add(_ price: PriceLine, end: UInt64, _ quantity: UInt64, per: UInt64) {
        if let index = items.firstIndex(where: { $0.price == price && $0.end == end && $0.per == per }) {
            items[index].quantity.addClamped(quantity)
        } else {
            items.append(Item(price: price, end: end, quantity: quantity, per: per))
        }
    }

    func lines() throws(Invoice.Fault) -> [Invoice.Line] {
        var lines: [Invoice.Line] = []
        for item in items {
            var (quantity, per) = (item.quantity, item.per)
            // All days of a month are a month.
            if item.price.measure == nil, quantity == per { (quantity, per) = (1, 1) }
            guard let amount = item.price.amount.times(quantity, per: per, places: places) else {
                throw .overflow(price: item.price.text)
            }
            lines.append(
                Invoice.Line(
                    price: item.price.text, measure: item.price.measure, quantity: quantity,
                    unitAmount: item.price.amount,
                    per: per, amount: amount))
        }
        return lines
    }
}

extension Usage {
    /// Requests that were admitted and are charged. What was given back of an earlier time may be more than there is.
    public var charged: UInt64 { admitted > uncharged ? admitted - uncharged : 0 }

    func quantity(of measure: PriceMeasure) -> UInt64 {
        switch measure {
        case .requests: charged
        case .settled: settled
        case .requestBytes: requestBytes
        case .responseBytes: responseBytes
        case .upstreamMilliseconds: upstreamMilliseconds
        case .cost: UInt64(max(cost, 0))
        }
    }
}
