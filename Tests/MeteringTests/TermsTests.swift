import Base
import Configuration
import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

/// What a tenant is charged by when rules change within a month, or after it.
@Suite("Rules that change") struct TermsTests {
    static func day(_ number: UInt64) -> UInt64 { BillingTests.day(number) }

    /// The plan `basic` for long, and `pro` from the 11th of a month of 30 days.
    static func change(_ basic: String, _ pro: String) throws -> [TermsBook.Entry] {
        [
            TermsBook.Entry(tenant: "a", time: day(1) - 100 * BillingTests.day, terms: try BillingTests.terms("basic", basic)),
            TermsBook.Entry(tenant: "a", time: day(11) + 100 * second, terms: try BillingTests.terms("pro", pro)),
        ]
    }

    static func amounts(_ invoice: Invoice) -> [String] { invoice.lines.map { $0.amount.text(places: 2) } }

    @Test(
        "a price a month is charged by the rule of its own plan: by its days, or whole and once, the first of a month",
        arguments: [
            ("price 30/month; prorate on;", "price 300/month; prorate on;", ["10.00", "200.00"]),
            ("price 30/month; prorate on;", "price 300/month;", ["10.00", "300.00"]),
            ("price 30/month;", "price 300/month; prorate on;", ["30.00", "200.00"]),
            ("price 30/month;", "price 300/month;", ["30.00"]),
            ("price 1 per 1 requests;", "price 300/month;", ["0.00", "300.00"]),
            ("price 1 per 1 requests;", "price 300/month; prorate on;", ["0.00", "200.00"]),
        ])
    func prorated(basic: String, pro: String, wanted: [String]) throws {
        let entries = try Self.change(basic, pro)
        #expect(Self.amounts(try BillingTests.invoice([:], entries, current: entries[1].terms)) == wanted)
    }

    @Test("one price that was by days and is whole, or the other way round, is charged whole", arguments: [true, false])
    func proratedAnew(isProrated: Bool) throws {
        var entries = try Self.change("price 30/month;", "price 30/month; prorate on;")
        for index in entries.indices { entries[index].terms?.plan = "p" }
        if isProrated { (entries[0].terms, entries[1].terms) = (entries[1].terms, entries[0].terms) }
        #expect(Self.amounts(try BillingTests.invoice([:], entries, current: entries[1].terms)) == ["30.00"])
    }

    @Test("what was in force is what is charged by, whatever the configuration says of that plan today")
    func recorded() throws {
        let then = try BillingTests.terms("p", "price 30/month; price 1 per 1 requests;")
        var now = try BillingTests.terms("p", "price 90/month; price 150 per 1 requests; prorate on;")
        now.prices.currency = "JPY"
        for time in [Self.day(1) - BillingTests.day, Self.day(3)] {
            var entries = [TermsBook.Entry(tenant: "a", time: time, terms: then)]
            for _ in 0..<2 {
                let invoice = try BillingTests.invoice([3: 7], entries, current: now)
                #expect(Self.amounts(invoice) == ["30.00", "7.00"] && invoice.currency == "EUR")
                entries.append(TermsBook.Entry(tenant: "a", time: BillingTests.november.upperBound + second, terms: now))
            }
        }
        // Nothing was ever noted of it.
        #expect(Self.amounts(try BillingTests.invoice([1: 7], [], current: now)) == ["90.00", "1050.00"])
    }

    @Test("what was issued is no more to be corrected because the configuration says something else today")
    func correctedByRecord() throws {
        try withFolder { path in
            let entries = [
                TermsBook.Entry(tenant: "a", time: Self.day(1), terms: try BillingTests.terms("p", "price 1 per 1 requests;"))
            ]
            var issued = try IssuedInvoices(path, tenant: "a", month: "2026-11")
            try issued.issue(try BillingTests.invoice([3: 7], entries, current: entries[0].terms), at: noon)
            let other = try BillingTests.terms("p", "price 2 per 1 requests;")
            #expect(try issued.correction(to: try BillingTests.invoice([3: 7], entries, current: other)) == nil)
        }
    }

    @Test("a price with a date takes the place of the one that begins at the same quantity, and of no other")
    func tiers() throws {
        let terms = try BillingTests.terms(
            "p",
            "price 1 per 1 requests; price 0.5 per 1 requests over 100; price 2 per 1 requests from=2026-11-16;"
                + "price 0.1 per 1 requests over 1000 from=2026-11-20;")
        let invoice = try BillingTests.invoice([3: 50, 16: 150, 20: 900], [], current: terms)
        #expect(invoice.lines.map(\.quantity) == [50, 100, 50, 800, 100])
        #expect(Self.amounts(invoice) == ["50.00", "50.00", "100.00", "400.00", "10.00"])
    }

    @Test("an invoice names each rule by which requests were charged, and since when")
    func charge() throws {
        var entries = try Self.change("price 1 per 1 requests;", "price 1 per 1 requests;")
        entries[1].terms?.charge = "admitted"
        let later = TermsBook.Entry(
            tenant: "a", time: BillingTests.november.upperBound, terms: try BillingTests.terms("pro", "price 1 per 1 requests;"))
        let invoice = try BillingTests.invoice([3: 5, 12: 5], entries + [later], current: later.terms)
        #expect(invoice.charge == "forwarded until 2026-11-11T00:01:40Z, then admitted")
        #expect(invoice.text.contains("charge forwarded until 2026-11-11T00:01:40Z, then admitted"))
        let before = try BillingTests.invoice([3: 5], Array(entries.prefix(1)), current: later.terms)
        #expect(before.charge == "forwarded")
    }

    @Test("who gets prices pays nothing for the time before, unless nothing was noted then")
    func before() throws {
        let priced = try BillingTests.terms("p", "price 30/month; price 1 per 1 requests; prorate on;")
        let free = TenantTerms(try InvoiceTests.tenant("plan p { }"))
        for isBegun in [true, false] {
            try withFolder { path in
                let journal = try Journal(folder: path)
                var book = try TermsBook(path)
                if isBegun { try book.note(["a": free, "b": free], at: Self.day(1) - 60 * BillingTests.day, in: journal) }
                try book.note(["a": priced, "b": free], at: Self.day(21), in: journal)
                book = try TermsBook(path)
                let (entries, isWhole) = book.history(of: "a", current: priced, at: noon)
                #expect(isWhole == isBegun && entries.map(\.terms) == [priced])
                let invoice = try BillingTests.invoice(
                    [20: 5, 22: 7], entries, current: priced, first: isWhole ? .max : Self.day(1), isWhole: isWhole)
                #expect(Self.amounts(invoice) == (isBegun ? ["10.00", "7.00"] : ["30.00", "12.00"]))
                // Of what was not noted yet the configuration holds from now on.
                #expect(book.history(of: "b", current: priced, at: noon).entries.map(\.time) == [noon])
                #expect(book.history(of: "b", current: nil, at: noon).entries == [])
            }
        }
    }

    @Test("what was noted of a time to come, by a clock that was ahead, is noted again once it has gone back")
    func ahead() throws {
        try withFolder { path in
            let (one, two) = (
                try BillingTests.terms("p", "price 1 per 1 requests;"), try BillingTests.terms("p", "price 2 per 1 requests;")
            )
            let journal = try Journal(folder: path)
            func note(_ tenants: [String: TenantTerms], at time: UInt64) throws -> [String: [UInt64]] {
                var book = try TermsBook(path)
                try book.note(tenants, at: time, in: journal)
                let again = try TermsBook(path)
                #expect(again.entries == book.entries && again.damaged == [])
                return again.entries.mapValues { $0.map(\.time) }
            }
            _ = try note(["a": one, "c": one], at: Self.day(1))
            var times = try note(["a": two, "b": one], at: Self.day(21))
            #expect(times["a"] == [Self.day(1), Self.day(21)] && times["c"] == times["a"])
            for _ in 0..<2 {
                times = try note(["a": two, "b": one], at: Self.day(11))
                #expect(times["a"] == [Self.day(1), Self.day(11)] && times["b"] == [Self.day(11)] && times["c"] == times["a"])
            }
            let book = try TermsBook(path)
            #expect(book.entries["a"]?.last?.terms == two && book.entries["c"]?.last?.terms == nil)
        }
    }

    @Test("routes with a rule of their own are named")
    func routes() throws {
        let tenant = try InvoiceTests.tenant(
            "plan p { charge 2xx 4xx; }", more: "route /a/ { charge admitted; } route /b/ { cost 2; }")
        #expect(TenantTerms(tenant).charge == "2xx 4xx, on /a/ admitted")
    }

    @Test("an invoice that was issued is shown as it was or not at all", arguments: ["txt", "csv", "json"])
    func sealed(kind: String) throws {
        try withFolder { path in
            let terms = try BillingTests.terms("p", "price 1 per 1 requests;")
            var issued = try IssuedInvoices(path, tenant: "a", month: "2026-11")
            let invoice = try BillingTests.invoice([3: 300], [], current: terms)
            try issued.issue(invoice, at: noon)
            let file = path + "/a/2026-11." + kind
            let whole = try #require(FileManager.default.contents(atPath: file))
            func shown() throws -> [String?] {
                let again = try IssuedInvoices(path, tenant: "a", month: "2026-11")
                return [try again.appearance("txt"), try again.appearance("csv")]
            }
            let wanted = try shown()
            #expect(wanted == [invoice.text, invoice.csv].map { String($0.dropLast()) })
            for place in whole.indices {
                var bytes = whole
                bytes[place] ^= 1
                try bytes.write(to: URL(fileURLWithPath: file))
                #expect(throws: StorageFault.self) { try shown() }
            }
            for size in [0, whole.count - 1] {
                try whole.prefix(size).write(to: URL(fileURLWithPath: file))
                #expect(throws: StorageFault.self) { try shown() }
            }
            try FileManager.default.removeItem(atPath: file)
            #expect(throws: StorageFault.self) { try shown() }
            try whole.write(to: URL(fileURLWithPath: file))
            #expect(try shown() == wanted)
        }
    }

    @Test(
        "a month within which prices of what is used changed keeps its days, where else only its sum is kept",
        arguments: [
            ("price 1 per 1 requests;", "price 2 per 1 requests;", true), ("price 1 per 1 requests;", "price 1 per 1 requests;", false),
            ("price 1 per 1 requests;", "price 1 per 1 requests; price 5/month;", false),
            ("price 1 per 1 requests; price 2 per 1 requests from=2026-11-11;", "", true),
            ("price 1 per 1 requests; price 2 per 1 requests from=2026-11-01;", "", false),
        ])
    func parted(basic: String, pro: String, isParted: Bool) throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let ledger = try LedgerTests.open(table, path, at: Self.day(1)).ledger
            for number in 1...30 {
                table.counted[0][.admitted] += 10
                try ledger.close(at: Self.day(UInt64(number)) + 3600 * second)
                try ledger.close(at: Self.day(UInt64(number) + 1))
            }
            var book = try TermsBook(path)
            let entries = try Self.change(basic, pro.isEmpty ? basic : pro)
            for entry in entries {
                guard let terms = entry.terms else { continue }
                try book.note(["a": terms], at: entry.time, in: Journal(folder: path))
            }
            book = try TermsBook(path)
            #expect(book.partedMonths == (isParted ? [BillingTests.november.lowerBound] : []))
            for _ in 0..<2 {
                let rollup = Rollup(LedgerFolder(path), finest: .month, parted: book.partedMonths, retention: 0)
                _ = try rollup.run(closed: BillingTests.november.upperBound + second)
            }
            let parts = BillingPart.parts(of: BillingTests.november, book.entries["a"] ?? [], current: nil, first: nil)
            #expect(BillingPart.groups(parts, of: BillingTests.november).count == (isParted ? 2 : 1))
            let halves = try [Self.day(1)..<Self.day(11), Self.day(11)..<BillingTests.november.upperBound].map {
                try Statement(LedgerFolder(path), query: UsageQuery(tenant: "a", from: $0.lowerBound, to: $0.upperBound))
            }
            #expect(halves.allSatisfy { $0.tooCoarse.isEmpty == isParted })
            if isParted { #expect(halves.map { $0.rows.first?.usage.admitted } == [100, 200]) }
            #expect(try Statement(LedgerFolder(path), query: UsageQuery(by: .month)).rows.map(\.usage.admitted) == [300])
        }
    }
}
