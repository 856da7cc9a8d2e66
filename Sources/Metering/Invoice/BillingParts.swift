import Base
import Configuration

/// A part of a month in which the same prices hold for a tenant.
public struct BillingPart: Sendable, Equatable {
    /// Whole days, in nanoseconds since 1970.
    public var span: Range<UInt64>
    public var terms: TenantTerms
    /// Those of the terms that hold on its days.
    public var lines: [PriceLine]

    public var days: UInt64 { (span.upperBound - span.lowerBound) / Timestamp.day }
}

extension BillingPart {
    /// The parts of a month for which a tenant is charged, by days: none before it began, none after it ended.
    /// - Parameters:
    ///   - entries: what was noted of it, in the order of time.
    ///   - current: what the configuration says of it; nil where it is configured no more.
    ///   - first: when the ledger's first line of it begins; what was noted may have begun later than the tenant.
    public static func parts(
        of month: Range<UInt64>, _ entries: [TermsBook.Entry], current: TenantTerms?, first: UInt64?
    ) -> [BillingPart] {
        var parts: [BillingPart] = []
        var day = month.lowerBound
        while day < month.upperBound {
            defer { day += Timestamp.day }
            guard let terms = terms(on: day, entries, current, first) else { continue }
            let lines = terms.prices.lines(on: day / Timestamp.second)
            if var last = parts.last, last.span.upperBound == day, last.terms == terms, last.lines == lines {
                last.span = last.span.lowerBound..<day + Timestamp.day
                parts[parts.count - 1] = last
            } else {
                parts.append(BillingPart(span: day..<day + Timestamp.day, terms: terms, lines: lines))
            }
        }
        return parts
    }

    /// A change holds from the day on which it was made; a tenant is there on the day on which it ends.
    private static func terms(
        on day: UInt64, _ entries: [TermsBook.Entry], _ current: TenantTerms?, _ first: UInt64?
    ) -> TenantTerms? {
        let end = day + Timestamp.day
        let begin = min(first ?? .max, entries.first?.time ?? .max)
        guard begin < end else { return nil }
        let before = entries.last { $0.time < end }
        // It was there before anything was noted.
        guard let noted = before ?? entries.first else { return current }
        var terms = noted.terms
        if terms == nil, noted.time >= day { terms = entries.last { $0.time < noted.time }?.terms }
        guard let terms else { return nil }
        // What the configuration says of the same plan holds for all of its days: prices have dates of their own.
        if let current, current.plan == terms.plan { return current }
        return terms
    }
}
