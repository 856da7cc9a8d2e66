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

    /// Parts next to each other in which what is used has the same prices, and the time of which the ledger is asked for
    /// all of them: days need to be told apart no further.
    public struct Group: Equatable {
        public var parts: Range<Int>
        /// Whatever comes behind a part belongs to it: it was admitted while there was a tenant.
        public var span: Range<UInt64>
    }

    /// - Parameter isWhole: before the first part the tenant had no prices, and what it used then is not asked for.
    public static func groups(_ parts: [BillingPart], of month: Range<UInt64>, isWhole: Bool = false) -> [Group] {
        var groups: [Group] = []
        for (index, part) in parts.enumerated() {
            if let last = groups.last, parts[last.parts.lowerBound].hasUsagePrices(of: part) {
                groups[groups.count - 1].parts = last.parts.lowerBound..<index + 1
                continue
            }
            let start = groups.isEmpty && !isWhole ? month.lowerBound : part.span.lowerBound
            if let last = groups.last { groups[groups.count - 1].span = last.span.lowerBound..<start }
            groups.append(Group(parts: index..<index + 1, span: start..<month.upperBound))
        }
        return groups
    }

    private func hasUsagePrices(of other: BillingPart) -> Bool {
        usagePrices == other.usagePrices && terms.prices.currency == other.terms.prices.currency
    }

    private var usagePrices: [PriceLine] { lines.filter { $0.measure != nil } }
}

extension TermsBook {
    /// When anything was noted for the first time.
    private var begun: UInt64? { entries.values.lazy.compactMap { $0.first?.time }.min() }

    /// What a tenant is charged by.
    /// - Parameters:
    ///   - current: what the configuration says of it; in force from now on where it was not noted yet.
    ///   - now: nanoseconds since 1970.
    /// - Returns: entries in the order of time, and whether it had no prices before the first of them. Else nobody knows:
    ///   the book began with that, or there is none.
    public func history(of tenant: String, current: TenantTerms?, at now: UInt64) -> (entries: [Entry], isWhole: Bool) {
        if let own = entries[tenant], let first = own.first { return (own, first.time > begun ?? first.time) }
        guard begun != nil else { return ([], false) }
        return (current.map { [Entry(tenant: tenant, time: now, terms: $0)] } ?? [], true)
    }

    /// The beginnings of months within which prices of what is used have changed for somebody: sums of whole months are not
    /// enough for their invoices.
    public var partedMonths: Set<UInt64> {
        var months: Set<UInt64> = []
        func part(at time: UInt64) {
            let month = Period.month.bounds(of: time).lowerBound
            if time - time % Timestamp.day > month { months.insert(month) }
        }
        let begun = begun ?? 0
        for entries in entries.values {
            let known = entries.filter { $0.terms != nil }
            // It may have been there before, without prices.
            if let first = known.first, first.time > begun { part(at: first.time) }
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
