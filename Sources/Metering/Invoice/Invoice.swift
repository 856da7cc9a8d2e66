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
    /// Which requests were charged, as `charge` had it, and until when where that has changed.
    public var charge: String
    /// The lines of the ledger that it was computed from, with those of others among them, and how many were its own.
    public var sources = RecordRanges()
    public var records: UInt64 = 0
    /// Lines of the ledger that are damaged or missing, and what they said is not in it.
    public var damaged = 0
    /// What was used can't be told apart by days, and all of it is at the last prices of the month.
    public var isCoarse: Bool
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
    ///   - statements: what was used in each of them, without periods; nil where another one's holds it.
    ///   - charge: by which rules requests were charged.
    ///   - currency: where parts are in several, the one that is asked for; without parts that of the tenant.
    ///   - damagedTerms: lines that are damaged of what was noted of plans and prices.
    public init(
        tenant: String, month: Range<UInt64>, parts: [BillingPart], statements: [Statement?], charge: String? = nil,
        currency: String?, isAsked: Bool = false, damagedTerms: Int = 0, isProvisional: Bool, isCoarse: Bool = false
    ) throws(Fault) {
        (self.tenant, from, to, self.isProvisional) = (tenant, month.lowerBound, month.upperBound, isProvisional)
        let currencies = parts.filter { !$0.lines.isEmpty }.compactMap(\.terms.prices.currency)
        self.currency = (isAsked ? currency : currencies.last) ?? currency ?? ""
        if !isAsked { for other in currencies where other != self.currency { throw .currencies(other, self.currency) } }
        damaged = damagedTerms
        plan = parts.last?.terms.plan
        self.charge = charge ?? parts.last?.terms.charge ?? "forwarded"
        self.isCoarse = isCoarse
        let billed = parts.filter { $0.terms.prices.currency == self.currency }
        var items = Items(places: Currency.places(self.currency), month: month, billed)
        for (part, statement) in zip(parts, statements) {
            let used = (statement?.rows ?? []).filter { $0.tenant == tenant }.reduce(into: Usage()) { $0.add($1.usage) }
            if part.terms.prices.currency == self.currency { items.add(part, from: usage, used) }
            usage.add(used)
            guard let statement else { continue }
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
    /// The part whose price of a month is charged whole: the first that is not charged by days. The month has one.
    private let whole: BillingPart?
    private var items: [Item] = []

    init(places: Int, month: Range<UInt64>, _ parts: [BillingPart]) {
        (self.places, monthDays) = (places, (month.upperBound - month.lowerBound) / Timestamp.day)
        whole = parts.first { $0.terms.prices.isProrated != true && $0.monthlyPrice != nil }
    }

    mutating func add(_ part: BillingPart, from before: Usage, _ used: Usage) {
        var after = before
        after.add(used)
        for price in part.lines {
            switch price.kind {
            case .monthly:
                if part == whole {
                    add(price, end: 0, 1, per: 1)
                } else if part.terms.prices.isProrated == true, !isCharged(price, of: part) {
                    add(price, end: 0, part.days, per: monthDays)
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

    /// Whether it is that of which the whole month is charged already, by another rule.
    private func isCharged(_ price: PriceLine, of part: BillingPart) -> Bool {
        whole.map { $0.terms.plan == part.terms.plan && $0.monthlyPrice == price } ?? false
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

extension BillingPart {
    fileprivate var monthlyPrice: PriceLine? { lines.first { $0.measure == nil } }
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
