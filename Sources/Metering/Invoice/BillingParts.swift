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
    /// The parts of a month for which a tenant is charged, by days: none before it began, none after it ended. Of each day
    /// by what was in force then, as it was noted; the configuration may say something else today.
    /// - Parameters:
    ///   - entries: what was noted of it, in the order of time.
    ///   - current: what the configuration says of it, for a tenant of which nothing is noted yet; nil where it has none.
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
        // It was there before anything was noted.
        guard let noted = entries.last(where: { $0.time < end }) ?? entries.first else { return current }
        if noted.terms == nil, noted.time >= day { return entries.last { $0.time < noted.time }?.terms }
        return noted.terms
    }

    /// By which rules requests of a time were charged, one after the other: `forwarded until 2026-11-20T10:00:00Z, then
    /// admitted`. Each was counted by the rule of its moment.
    public static func charge(
        in month: Range<UInt64>, _ entries: [TermsBook.Entry], current: TenantTerms?
    ) -> String? {
        let known = entries.filter { $0.terms != nil }
        guard var rule = (known.last { $0.time <= month.lowerBound } ?? known.first)?.terms?.charge ?? current?.charge else {
            return nil
        }
        var text = rule
        for entry in known where entry.time > month.lowerBound && entry.time < month.upperBound {
            guard let next = entry.terms?.charge, next != rule else { continue }
            text += " until \(Timestamp.text(entry.time)), then \(next)"
            rule = next
        }
        return text
    }

    /// Parts next to each other in which what is used has the same prices: what was used in all of them need not be told
    /// apart by days.
    public static func groups(_ parts: [BillingPart]) -> [Range<Int>] {
        var groups: [Range<Int>] = []
        for (index, part) in parts.enumerated() {
            if let last = groups.last, parts[last.lowerBound].usagePrices == part.usagePrices,
                parts[last.lowerBound].terms.prices.currency == part.terms.prices.currency
            {
                groups[groups.count - 1] = last.lowerBound..<index + 1
            } else {
                groups.append(index..<index + 1)
            }
        }
        return groups
    }

    private var usagePrices: [PriceLine] { lines.filter { $0.measure != nil } }
}

extension TermsBook {
    /// The beginnings of months within which prices of what is used have changed for somebody: sums of whole months are not
    /// enough for their invoices.
    public var partedMonths: Set<UInt64> {
        var months: Set<UInt64> = []
        func part(at time: UInt64) {
            let month = Period.month.bounds(of: time).lowerBound
            if time - time % Timestamp.day > month { months.insert(month) }
        }
        for entries in entries.values {
            let known = entries.filter { $0.terms != nil }
            for entry in known {
                for line in entry.terms!.prices.lines where line.measure != nil && line.from > 0 {
                    part(at: line.from * Timestamp.second)
                }
            }
            for (before, after) in zip(known, known.dropFirst()) {
                let (one, other) = (before.terms!.prices, after.terms!.prices)
                let isSame = one.currency == other.currency
                    && one.lines.filter { $0.measure != nil } == other.lines.filter { $0.measure != nil }
                if !isSame { part(at: after.time) }
            }
        }
        return months
    }
}
