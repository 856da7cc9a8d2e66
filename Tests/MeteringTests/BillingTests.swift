import Base
import Configuration
import Foundation
import Storage
import TestSupport
import Testing

@testable import Metering

@Suite("Parts of a month and their prices") struct BillingTests {
    static let november = Period.month.bounds(of: noon)
    static let day: UInt64 = 86_400 * second

    static func terms(_ plan: String, _ prices: String) throws -> TenantTerms {
        var terms = TenantTerms(try InvoiceTests.tenant("plan p { \(prices) currency EUR; }"))
        terms.plan = plan
        return terms
    }

    static func day(_ number: UInt64) -> UInt64 { november.lowerBound + (number - 1) * day }

    /// The tenant `a`, with so many requests at noon of a day.
    static func invoice(
        _ used: [UInt64: UInt64], _ entries: [TermsBook.Entry], current: TenantTerms?, first: UInt64? = nil,
        currency: String? = nil, isWhole: Bool = false
    ) throws -> Invoice {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let ledger = try LedgerTests.open(table, path, at: november.lowerBound).ledger
            for (number, count) in used.sorted(by: { $0.key < $1.key }) {
                try ledger.close(at: day(number) + day / 2)
                table.counted[0][.admitted] += count
                try ledger.close(at: day(number) + day / 2 + second)
            }
            let parts = BillingPart.parts(
                of: november, entries, current: current, first: first ?? used.keys.min().map { day($0) })
            var statements = [Statement?](repeating: nil, count: parts.count)
            for group in BillingPart.groups(parts, of: november, isWhole: isWhole) {
                let query = UsageQuery(tenant: "a", from: group.span.lowerBound, to: group.span.upperBound)
                statements[group.parts.lowerBound] = try Statement(LedgerFolder(path), query: query)
            }
            return try Invoice(
                tenant: "a", month: november, parts: parts, statements: statements,
                charge: BillingPart.charge(in: november, entries, current: current), currency: currency ?? "EUR",
                isAsked: currency != nil, isProvisional: false)
        }
    }

    func amounts(_ invoice: Invoice) -> [String] { invoice.lines.map { $0.amount.text(places: 2) } }

    @Test("each part of a month is at its own price, and what was used counts on over the parts")
    func dated() throws {
        let terms = try Self.terms(
            "p",
            "price 1 per 1 requests; price 0.5 per 1 requests over 100;"
                + "price 2 per 1 requests from=2026-11-16; price 1.5 per 1 requests over 100 from=2026-11-16;"
                + "price 9 per 1 requests from=2026-12-01;")
        let invoice = try Self.invoice([3: 80, 15: 40, 16: 10, 20: 5], [], current: terms)
        #expect(invoice.lines.map(\.quantity) == [100, 20, 0, 15])
        #expect(amounts(invoice) == ["100.00", "10.00", "0.00", "22.50"])
    }

    @Test("a price that goes on over a part's end is one line, and is rounded once")
    func merged() throws {
        let terms = try Self.terms("p", "price 0.001 per 1 requests; price 5/month; price 6/month from=2026-11-16;")
        let invoice = try Self.invoice([1: 1, 3: 4, 16: 4], [], current: terms)
        #expect(invoice.lines.map(\.quantity) == [9, 1] && amounts(invoice) == ["0.01", "5.00"])
    }

    @Test("a month is charged from the day on which the tenant began, in part where it is prorated")
    func began() throws {
        for (prorate, amount) in [("", "30.00"), ("prorate on;", "10.00")] {
            let terms = try Self.terms("p", "price 30/month; \(prorate)")
            let entry = TermsBook.Entry(tenant: "a", time: Self.day(21) + 5 * second, terms: terms)
            #expect(amounts(try Self.invoice([:], [entry], current: terms)) == [amount])
            // It was there before anything was noted.
            #expect(amounts(try Self.invoice([:], [entry], current: terms, first: Self.day(1) - 1)) == ["30.00"])
        }
        let terms = try Self.terms("p", "price 30/month;")
        let later = TermsBook.Entry(tenant: "a", time: Self.november.upperBound, terms: terms)
        #expect(try Self.invoice([:], [later], current: terms).lines == [])
        #expect(try Self.invoice([:], [], current: terms).lines == [])
    }

    @Test("a change of plan is charged by days, and each plan's requests at its own price")
    func change() throws {
        let free = try Self.terms("free", "price 3/month; price 1 per 1 requests; prorate on;")
        let pro = try Self.terms("pro", "price 60/month; price 0.1 per 1 requests; prorate on;")
        let entries = [
            TermsBook.Entry(tenant: "a", time: Self.day(1) - 100 * Self.day, terms: free),
            TermsBook.Entry(tenant: "a", time: Self.day(11) + 100 * second, terms: pro),
        ]
        let invoice = try Self.invoice([10: 10, 11: 10], entries, current: pro)
        #expect(invoice.lines.map(\.quantity) == [10, 10, 20, 10])
        #expect(amounts(invoice) == ["1.00", "10.00", "40.00", "1.00"] && invoice.plan == "pro")
    }

    @Test("a removed tenant pays what it had, until the day on which it ended")
    func removed() throws {
        let terms = try Self.terms("p", "price 30/month; price 1 per 1 requests; prorate on;")
        let entries = [
            TermsBook.Entry(tenant: "a", time: Self.day(1) - Self.day, terms: terms),
            TermsBook.Entry(tenant: "a", time: Self.day(10) + second, terms: nil),
        ]
        #expect(amounts(try Self.invoice([3: 7], entries, current: nil)) == ["10.00", "7.00"])
    }

    @Test("what was noted is read as it was, and noted again only when it is different")
    func book() throws {
        try withFolder { path in
            let folder = path
            let journal = try Journal(folder: path)
            let terms = try Self.terms(
                "p", "price 30.50/month; price 1 per 1k request_bytes over 10 from=2026-11-16; prorate on;")
            var book = try TermsBook(folder)
            try book.note(["a": terms, "ü\"": terms], at: noon, in: journal)
            try book.note(["a": terms, "ü\"": terms], at: noon + second, in: journal)
            try book.note(["a": terms], at: noon + 2 * second, in: journal)
            var again = try TermsBook(folder)
            #expect(again.entries["a"]?.count == 1 && again.entries["a"]?[0].terms == terms)
            #expect(again.entries["ü\""]?.map { $0.terms == nil } == [false, true])
            try again.note(["a": terms], at: noon + 3 * second, in: journal)
            #expect(try TermsBook(folder).entries["a"]?.count == 1)
        }
    }

    @Test("lines of plans and prices that are lost are missed, wherever they stood")
    func lostTerms() throws {
        try withFolder { path in
            let journal = try Journal(folder: path)
            let table = SimulatedTable()
            var book = try TermsBook(path)
            for (number, price) in ["1", "2", "3", "4"].enumerated() {
                let terms = try Self.terms("p", "price \(price)/month;")
                try book.note(["a": terms], at: noon + UInt64(number) * second, in: journal)
            }
            book.remember(in: table)
            let written = LedgerState.terms.value(in: table)
            #expect(written == 5)
            let file = path + "/terms.jsonl"
            let bytes = [UInt8](try #require(FileManager.default.contents(atPath: file)))
            let lines = bytes.split(separator: 0x0A).map { Array($0) + [0x0A] }
            #expect(try TermsBook(path, written: written).damaged == [])
            for index in lines.indices {
                var rest = lines
                rest.remove(at: index)
                try Data(rest.joined()).write(to: URL(fileURLWithPath: file))
                #expect(try TermsBook(path, written: written).damaged == [index + 1], "without line \(index + 1)")
                rest = lines
                rest[index][20] ^= 1
                try Data(rest.joined()).write(to: URL(fileURLWithPath: file))
                #expect(try TermsBook(path, written: written).damaged == [index + 1], "line \(index + 1) changed")
            }
            try FileManager.default.removeItem(atPath: file)
            var again = try TermsBook(path, written: written)
            #expect(again.damaged == [1])
            // What comes later does not hide it.
            try again.note(["a": try Self.terms("p", "price 5/month;")], at: noon + 9 * second, in: journal)
            again.remember(in: table)
            #expect(try TermsBook(path, written: LedgerState.terms.value(in: table)).damaged == [1])
        }
    }

    @Test("what was issued stays, and what is different later is a correction")
    func issued() throws {
        try withFolder { path in
            let terms = try Self.terms("p", "price 30/month; price 1 per 1 requests;")
            let invoice = try Self.invoice([3: 7], [], current: terms)
            var issued = try IssuedInvoices(path + "/invoices", tenant: "a", month: "2026-11")
            #expect(!issued.isIssued)
            try issued.issue(invoice, at: noon)
            #expect(try issued.correction(to: invoice) == nil)
            let other = try Self.invoice(
                [3: 9], [], current: try Self.terms("p", "price 25/month; price 1 per 1 requests;"))
            var again = try IssuedInvoices(path + "/invoices", tenant: "a", month: "2026-11")
            let correction = try #require(try again.correction(to: other))
            #expect(correction.total.text(places: 2) == "-3.00")
            #expect(again.invoice == issued.invoice)
            #expect(try again.appearance("txt")?.contains("37.00 EUR") == true)
            try again.issue(correction, of: other, at: noon)
            #expect(try IssuedInvoices(path + "/invoices", tenant: "a", month: "2026-11").correction(to: other) == nil)
            var bytes = Array(try #require(FileManager.default.contents(atPath: path + "/invoices/a/2026-11.json")))
            bytes[30] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: path + "/invoices/a/2026-11.json"))
            #expect(throws: StorageFault.self) { try IssuedInvoices(path + "/invoices", tenant: "a", month: "2026-11") }
        }
    }

    @Test("requests that are not charged are not billed")
    func uncharged() throws {
        var usage = Usage()
        (usage.admitted, usage.uncharged) = (10, 3)
        #expect(usage.quantity(of: .requests) == 7)
    }

    @Test("a request of the first seconds of an hour is counted in it, however late the last one is closed")
    func early() throws {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let hour = noon + 3600 * second
            let ledger = try LedgerTests.open(table, path, at: noon).ledger
            table.counted[0][.admitted] = 10
            try ledger.close(at: noon + 5 * second)
            table.counted[0][.admitted] = 15
            // Three of the five came after the hour.
            table.earlyOnes[0] = 3
            try ledger.close(at: hour + second)
            try ledger.close(at: hour + 10 * second)
            table.counted[0][.admitted] = 16
            try ledger.close(at: hour + 3600 * second)
            let rows = try Statement(LedgerFolder(path), query: UsageQuery(by: .hour)).rows
            #expect(rows.map(\.usage.admitted) == [12, 4])
        }
    }
}
