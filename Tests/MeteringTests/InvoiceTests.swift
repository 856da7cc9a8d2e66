import Base
import Configuration
import Foundation
import Metering
import Storage
import TestSupport
import Testing

@Suite struct InvoiceTests {
    static let november = Period.month.bounds(of: noon)

    static func invoice(_ prices: String, admitted: UInt64, bytes: UInt64 = 0, currency: String = "EUR") throws
        -> Invoice
    {
        try withFolder { path in
            let table = SimulatedTable()
            table.add(Account(tenant: "a"))
            let ledger = try LedgerTests.open(table, path).ledger
            table.counted[0][.admitted] = admitted
            table.counted[0][.responseBytes] = bytes
            try ledger.close(at: noon + second)
            let query = UsageQuery(tenant: "a", from: november.lowerBound, to: november.upperBound)
            let statement = try Statement(LedgerFolder(path), query: query)
            let terms = TenantTerms(try tenant("plan p { \(prices) currency \(currency); }"))
            let parts = BillingPart.parts(of: november, [], current: terms, first: november.lowerBound)
            return try Invoice(
                tenant: "a", month: november, parts: parts, statements: [statement], currency: nil, isProvisional: true)
        }
    }

    static func tenant(_ plan: String, more: String = "") throws -> TenantSettings {
        let text = "listen 80; upstream u { server a:1; } \(plan) tenant a { plan p; host a.test; upstream u; \(more) }"
        let source = ConfigurationSource(
            read: { _ in .success(Array(text.utf8)) }, glob: { _ in [] }, environment: { _ in nil })
        let loaded = ConfigurationLoader.load("c", from: source)
        return try #require(loaded.settings, Comment(rawValue: loaded.renderAll())).hot.tenants[0]
    }

    @Test("the example of the manual")
    func example() throws {
        let invoice = try Self.invoice(
            "price 49.00/month; price 0.20 per 1000 requests over 1000000; price 0.08 per 1g response_bytes;",
            admitted: 1_500_000, bytes: 10 << 30)
        #expect(invoice.lines.map { $0.amount.text(places: 2) } == ["49.00", "100.00", "0.80"])
        #expect(invoice.total.text(places: 2) == "149.80")
        #expect(invoice.isProvisional && invoice.records == 1 && invoice.sources.count == 1)
        #expect(invoice.text.contains("149.80 EUR"))
    }

    @Test("a line of a measure ends where the next begins")
    func tiers() throws {
        let invoice = try Self.invoice(
            "price 0.10 per 1 requests over 100; price 0.01 per 1 requests over 1000; price 1 per 1 requests;",
            admitted: 5000)
        #expect(invoice.lines.map(\.quantity) == [900, 4000, 100])
        #expect(invoice.total.text(places: 2) == "230.00")
    }

    @Test(
        "each line is rounded once, halves up; a currency has its own places",
        arguments: [
            ("EUR", "0.00", UInt64(4), "0.001"), ("EUR", "0.01", 5, "0.001"), ("EUR", "0.03", 5, "0.005"),
            ("JPY", "1", 5, "0.1"), ("JPY", "0", 4, "0.1"), ("KWD", "0.005", 5, "0.001"),
            ("EUR", "333333333.33", 1_000_000_000, "1/3"), ("EUR", "999999999999990.00", 1, "999999999999990"),
        ])
    func rounding(currency: String, total: String, admitted: UInt64, price: String) throws {
        let parts = price.split(separator: "/")
        let invoice = try Self.invoice(
            "price \(parts[0]) per \(parts.count > 1 ? parts[1] : "1") requests;", admitted: admitted,
            currency: currency)
        let places = currency == "JPY" ? 0 : currency == "KWD" ? 3 : 2
        #expect(invoice.total.text(places: places) == total)
    }

    @Test("an amount past all bounds is said, not wrapped")
    func overflow() throws {
        #expect(throws: Invoice.Fault.self) {
            try Self.invoice("price 999999999999999 per 1 requests;", admitted: .max)
        }
    }
}

@Suite struct ExactDecimalTests {
    @Test(
        "digits, a point, digits",
        arguments: [
            ("0", "0"), ("49", "49"), ("49.00", "49"), ("0.000000000001", "0.000000000001"), ("000.10", "0.1"),
            ("999999999999999.999999999999", "999999999999999.999999999999"),
        ])
    func good(text: String, shown: String) throws {
        #expect(try #require(ExactDecimal(text)).text(places: 0) == shown)
    }

    @Test(
        "anything else is no amount",
        arguments: [
            "", ".", "1.", ".5", "-1", "+1", "1,5", "1e3", " 1", "1 ", "0x10", "1.0000000000001", "1000000000000000",
            "1..2", "1.2.3", "١",
        ])
    func bad(text: String) { #expect(ExactDecimal(text) == nil) }

    @Test("products agree with wide arithmetic")
    func products() throws {
        var random = SeededGenerator(state: 1)
        for _ in 0..<10_000 {
            let units = Int128(Int64.random(in: 0...(.max), using: &random))
            let (count, per) = (
                UInt64.random(in: 0...1_000_000_000, using: &random), UInt64.random(in: 1...5_000_000, using: &random)
            )
            let exact = UInt128(units) * UInt128(count)
            let step = UInt128(10_000_000_000) * UInt128(per)
            let expected = (exact / step + (exact % step * 2 >= step ? 1 : 0)) * 10_000_000_000
            #expect(ExactDecimal(units: units).times(count, per: per, places: 2)?.units == Int128(expected))
        }
    }
}

@Suite struct RecordTests {
    static let record = UsageRecord(
        id: RecordID(node: 7, epoch: 3, sequence: 17), account: Account(tenant: "a\"\\\u{1}é", key: "k"), from: noon,
        to: noon + 5 * second, usage: Usage(), inFlight: 2, totals: UsageCounters(), dayBefore: noon - noon % Story.day,
        rolledUp: .init(
            lines: 4, first: RecordID(node: 7, epoch: 1, sequence: 1), last: RecordID(node: 7, epoch: 3, sequence: 17)))

    @Test("what was written is what is read")
    func roundTrip() throws {
        var random = SeededGenerator(state: 2)
        for _ in 0..<500 {
            var record = Self.record
            let table = SimulatedTable()
            table.add(record.account)
            for _ in 0..<Int.random(in: 0..<5, using: &random) { table.use(0, &random) }
            record.usage = Usage(from: UsageCounters(), to: table.counted[0])
            record.totals = table.counted[0]
            var line: [UInt8] = []
            record.write(to: &line)
            #expect(line.dropLast().withUnsafeBytes { UsageRecord($0) } == record)
        }
    }

    @Test("no bytes whatever trap the reader, and nothing cut short is a record")
    func hostile() {
        var random = SeededGenerator(state: 3)
        var line: [UInt8] = []
        Self.record.write(to: &line)
        line.removeLast()
        for size in line.indices { #expect(line[..<size].withUnsafeBytes { UsageRecord($0) } == nil) }
        for _ in 0..<50_000 {
            var bad = line
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: bad.indices, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bad[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bad.remove(at: place)
                case 2: bad.insert(contentsOf: Array("99999999999999999999".utf8), at: place)
                default: bad.insert([0x5B, 0x7B, 0x22, 0x5C, 0x2D][Int.random(in: 0..<5, using: &random)], at: place)
                }
            }
            _ = bad.withUnsafeBytes { UsageRecord($0) }
        }
        let deep = Array(("{\"x\":" + String(repeating: "[", count: 100_000)).utf8)
        #expect(deep.withUnsafeBytes { UsageRecord($0) } == nil)
    }

    @Test(
        "times as people write them",
        arguments: [
            ("2026-11", "2026-11-01T00:00:00Z"), ("2026-11-23", "2026-11-23T00:00:00Z"),
            ("2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z"),
            ("2026-11-23T12:00:00.5Z", "2026-11-23T12:00:00.500Z"),
            ("2026-11-23T12:00:00+02:00", "2026-11-23T10:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"), ("2500-12-31T23:59:59-23:59", "2501-01-01T23:58:59Z"),
        ])
    func times(text: String, shown: String) throws {
        #expect(Timestamp.text(try #require(Timestamp.parse(text))) == shown)
    }

    @Test(
        "what is no time",
        arguments: [
            "", "2026", "2026-13", "2026-00", "2026-02-29", "2026-11-31", "2026-11-23T", "2026-11-23T24:00:00Z",
            "2026-11-23T12:00Z",
            "2026-11-23T12:00:00", "2026-11-23T12:00:00.Z", "2026-11-23T12:00:00Zx", "1969-12-31", "2501-01",
            "yesterday",
            "1970-01-01T00:00:00+01:00",
        ])
    func noTimes(text: String) { #expect(Timestamp.parse(text) == nil) }
}
