import Glibc
import TestSupport
import Testing

@testable import Storage

// ThreadSanitizer holds a lock of its own in an atomic: where that touches a lost page, its hooks in the handler wait for ever.
@Suite("A meter table that is cut short", .disabled(if: sanitizer == "thread"))
struct MendingTests {
    /// Where the file is cut: at its beginning, in the header, between the first lines of slots and in the rest of one.
    static let cuts = [0, 100, 4096, 4096 + 64, 4096 + 64 * 700 + 24, 4096 + 65_536 + 448 * 3 + 200, 4096 + 65_536 + 448 * 900]

    @Test("is mended from what is remembered, and what was counted since", arguments: cuts)
    func mended(cut: Int) throws {
        let path = freshPath()
        let table = try MeterTable(path: path)
        let meters = try (0..<1000).map { try table.meter(tenant: "t\($0)") }
        for (number, meter) in meters.enumerated() {
            meter.add(UInt64(number + 10), to: .admitted)
            meter.add(UInt64(number + 10), to: .refusedByRate)
            meter.store(77 << 40 | UInt64(number), to: .window(2))
            meter.store(5, to: .bucket(1))
            for word in 0..<Meter.Cell.ledgerWords { meter.store(UInt64(word + number), to: .ledger(word)) }
        }
        table.setLedgerHeader(3, to: 33)
        table.keepCopy()
        #expect(try table.mend() == nil)
        #expect(truncate(path, cut) == 0)
        // A request on its way.
        for meter in meters {
            meter.add(1, to: .admitted)
            meter.add(1, to: .refusedByRate)
        }
        let loss = try #require(try table.mend())
        #expect(loss.from == cut)
        #expect(loss.slots > 0)
        #expect(try table.mend() == nil)
        for (number, meter) in meters.enumerated() {
            for cell in [Meter.Cell.admitted, .refusedByRate] {
                // What is written behind the end of a file, on its last page, is gone once it is longer.
                let place = table.place(of: meter[cell.word])
                let least = place >= cut && place / 4096 == cut / 4096 ? 10 : 11
                #expect((UInt64(number + least)...UInt64(number + 11)).contains(meter.value(cell)))
            }
            #expect(meter.value(.window(2)) == 77 << 40 | UInt64(number))
            #expect(meter.value(.bucket(1)) == 5)
            #expect(meter.value(.ledger(0)) == UInt64(number))
            #expect(meter.value(.ledger(Meter.Cell.ledgerWords - 1)) == UInt64(number + Meter.Cell.ledgerWords - 1))
            #expect(meter.name == "t\(number)")
            #expect(try table.meter(tenant: "t\(number)") == meter)
        }
        #expect(table.ledgerHeader(3) == 33)
        #expect(try table.meter(tenant: "new").index == 1000)
        // And the file is one again.
        let other = try MeterTable(path: path)
        #expect(try other.meter(tenant: "t999").value(.admitted) == meters[999].value(.admitted))
    }

    @Test("is mended before anybody is looked for in it")
    func lookedFor() throws {
        let path = freshPath()
        let table = try MeterTable(path: path)
        let acme = try table.meter(tenant: "acme")
        #expect(truncate(path, 0) == 0)
        acme.add(1, to: .admitted)
        #expect(try table.meter(tenant: "acme") == acme)
        #expect(try table.meter(tenant: "globex") != acme)
        #expect(try table.mend()?.slots == 1)
        #expect(truncate(path, 0) == 0)
        try table.givingMany { () throws(StorageFault) in
            #expect(try table.meter(tenant: "acme") == acme)
        }
    }

    @Test("what was in flight never counts below zero for long")
    func inFlight() throws {
        let path = freshPath()
        let table = try MeterTable(path: path)
        let acme = try table.meter(tenant: "acme")
        let one: UInt64 = 1 << UInt64(32 * table.lane)
        acme.add(3 * one, to: .inFlight)
        table.keepCopy()
        #expect(truncate(path, 0) == 0)
        acme.subtract(one, from: .inFlight)
        _ = try table.mend()
        #expect(acme.value(.inFlight) == 0)
        acme.add(one, to: .inFlight)
        acme.subtract(3 * one, from: .inFlight)
        _ = try table.mend()
        #expect(acme.value(.inFlight) == 0)
    }
}
