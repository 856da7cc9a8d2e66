import Base
import Configuration
import Storage
import TestSupport
import Testing

@testable import Metering

/// Invoices of a month in which rules change at random, beside a model that goes through it day by day and cent by cent.
@Suite("Rules that change at random") struct TermsModelTests {
    typealias Terms = (plan: String, monthly: (cents: Int, text: String)?, isProrated: Bool, currency: String, tiers: [Tier])
    /// Whole units for one request, from a quantity of the month on, since a day of it.
    struct Tier: Hashable {
        var amount: Int
        var over: Int
        var day: Int
        var text: String {
            "\(amount) per 1 requests" + (over > 0 ? " over \(over)" : "")
                + (day > 0 ? " from=2026-11-\(day < 10 ? "0" : "")\(day)" : "")
        }
    }

    static func draw(_ random: inout SeededGenerator) throws -> (terms: TenantTerms, model: Terms) {
        var terms: Terms = (["p", "q"].randomElement(using: &random)!, nil, Bool.random(using: &random), "EUR", [])
        if Int.random(in: 0..<8, using: &random) == 0 { terms.currency = "JPY" }
        var text = "currency \(terms.currency);" + (terms.isProrated ? "prorate on;" : "")
        if Int.random(in: 0..<4, using: &random) > 0 {
            let units = [0, 30, 31, 100].randomElement(using: &random)!
            terms.monthly = (units, "\(units)/month")
            text += "price \(units)/month;"
        }
        for over in [0, 50, 120] where Bool.random(using: &random) {
            for day in [0, Int.random(in: 1...30, using: &random)] where Bool.random(using: &random) {
                let tier = Tier(amount: Int.random(in: 0...9, using: &random), over: over, day: day)
                terms.tiers.append(tier)
                text += "price \(tier.text);"
            }
        }
        var settings = TenantTerms(try InvoiceTests.tenant("plan p { \(text) }"))
        settings.plan = terms.plan
        settings.charge = ["forwarded", "admitted"].randomElement(using: &random)!
        return (settings, terms)
    }

    /// By currency, in the hundredth part of a unit.
    static func model(_ used: [Int], _ terms: [Terms?]) -> [String: Int] {
        var sums: [String: Int] = [:]
        var whole: [String: (plan: String, text: String)] = [:]
        for case let terms? in terms where !terms.isProrated && whole[terms.currency] == nil {
            guard let monthly = terms.monthly else { continue }
            whole[terms.currency] = (terms.plan, monthly.text)
            sums[terms.currency, default: 0] += monthly.cents * 100
        }
        var days: [String: (cents: Int, count: Int, currency: String)] = [:]
        var before = 0
        var last: Terms?
        for day in 1...30 {
            // What is used where there is no tenant was admitted while there was one.
            let held = terms[day] ?? last
            last = held
            let after = before + used[day]
            guard let held else { continue }
            defer { before = after }
            // The tenant's prices may have changed by their own dates since it was there.
            let at = terms[...day].lastIndex { $0 != nil } ?? day
            var tiers: [Int: Tier] = [:]
            for tier in held.tiers where tier.day <= at && (tiers[tier.over].map { tier.day >= $0.day } ?? true) {
                tiers[tier.over] = tier
            }
            for (over, tier) in tiers {
                let end = tiers.keys.filter { $0 > over }.min() ?? .max
                let count = max(0, min(after, end) - max(before, over))
                sums[held.currency, default: 0] += count * tier.amount * 100
            }
            guard let own = terms[day], own.isProrated, let monthly = own.monthly,
                whole[own.currency].map({ $0 != (own.plan, monthly.text) }) ?? true
            else { continue }
            days[own.currency + monthly.text, default: (monthly.cents, 0, own.currency)].count += 1
        }
        for (cents, count, currency) in days.values {
            let places = currency == "EUR" ? 100 : 1
            sums[currency, default: 0] += (cents * count * places * 2 + 30) / 60 * (100 / places)
        }
        return sums
    }

    @Test("an invoice says what the model says", arguments: 1...UInt64(150))
    func month(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        var entries: [TermsBook.Entry] = []
        var models: [Terms?] = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            let time = BillingTests.day(1) + UInt64.random(in: 0..<32 * 24, using: &random) * 3600 * second - BillingTests.day
            let (terms, model) = try Self.draw(&random)
            let isEnd = Int.random(in: 0..<4, using: &random) == 0
            entries.append(TermsBook.Entry(tenant: "a", time: time, terms: isEnd ? nil : terms))
            models.append(isEnd ? nil : model)
        }
        let order = entries.indices.sorted { entries[$0].time < entries[$1].time }
        (entries, models) = (order.map { entries[$0] }, order.map { models[$0] })
        // A tenant begins before it ends.
        guard entries[0].terms != nil, Set(entries.map(\.time)).count == entries.count else { return }
        // By day, from 1.
        let terms: [Terms?] = (0...30).map { day in
            if day == 0 { return nil }
            let (start, end) = (BillingTests.day(UInt64(day)), BillingTests.day(UInt64(day) + 1))
            guard let index = entries.lastIndex(where: { $0.time < end }) else { return nil }
            if models[index] == nil, entries[index].time >= start { return models[..<index].last ?? nil }
            return models[index]
        }
        let used = (0...30).map { day in day > 0 && Bool.random(using: &random) ? Int.random(in: 0...20, using: &random) : 0 }
        let wanted = Self.model(used, terms)
        let counts = Dictionary(uniqueKeysWithValues: (1...30).map { (UInt64($0), UInt64(used[$0])) })
        let (other, _) = try Self.draw(&random)
        func invoice(_ currency: String?) throws -> Invoice {
            try BillingTests.invoice(counts, entries, current: other, first: .max, currency: currency, isWhole: true)
        }
        let priced = Set(terms.compactMap { $0 }.filter { $0.monthly != nil || !$0.tiers.isEmpty }.map(\.currency))
        for currency in priced {
            let invoice = try invoice(priced.count > 1 ? currency : nil)
            #expect(invoice.total.units * 100 / ExactDecimal.one == Int128(wanted[currency] ?? 0), "\(currency)")
            let start = terms.firstIndex { $0 != nil } ?? 31
            #expect(invoice.usage.admitted == UInt64(used.enumerated().reduce(0) { $0 + ($1.offset < start ? 0 : $1.element) }))
        }
    }
}
