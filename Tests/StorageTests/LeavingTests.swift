import Glibc
import TestSupport
import Testing

@testable import Storage

/// Processes that others have taken over from, as tables of one file.
@Suite("Leaving")
struct LeavingTests {
    private let path = freshPath()

    private func enter(_ table: MeterTable, _ count: UInt64) throws {
        try table.meter(tenant: "acme").add(count << UInt64(32 * table.lane), to: .inFlight)
    }

    /// As its loops do it.
    private func leave(_ table: MeterTable, moving count: UInt64) throws {
        try table.beginLeaving()
        let meter = try table.meter(tenant: "acme")
        meter.add(count, to: .leaving)
        meter.subtract(count << UInt64(32 * table.lane), from: .inFlight)
        table.endLane()
    }

    @Test("any number of processes leave one after the other, and each counts until it is settled")
    func many() throws {
        var tables = [try MeterTable(path: path)]
        for round in 1...10 {
            try enter(tables.last!, 2)
            tables.append(try MeterTable(path: path))
            try leave(tables[tables.count - 2], moving: 2)
            tables.last!.reclaim()
            #expect(tables.last!.isShared)
            #expect(try tables.last!.meter(tenant: "acme").inFlight == UInt64(2 * round))
        }
        let meter = try tables.last!.meter(tenant: "acme")
        meter.subtract(2, from: .leaving)
        #expect(meter.inFlight == 18)
        #expect(meter.value(.inFlight) == 0)
        // The last of them has ended, whatever it has left behind.
        tables.removeFirst(10)
        tables.last!.reclaim()
        #expect(meter.inFlight == 0)
        #expect(!tables.last!.isShared)
        #expect(!tables.last!.leaving.isGoingOn)
    }

    @Test("what a killed one had counts until the last one that leaves has ended, and not in a table opened then")
    func killed() throws {
        var first: MeterTable? = try MeterTable(path: path)
        try enter(first!, 3)
        var second: MeterTable? = try MeterTable(path: path)
        try leave(first!, moving: 3)
        let third = try MeterTable(path: path)
        try enter(second!, 1)
        try leave(second!, moving: 1)
        first = nil
        third.reclaim()
        #expect(try third.meter(tenant: "acme").inFlight == 4)
        second = nil
        let fourth = try MeterTable(path: path)
        #expect(try fourth.meter(tenant: "acme").inFlight == 0)
        #expect(first == nil && second == nil)
    }

    @Test("one that is killed while it moves is counted no longer than the lane and the word are")
    func killedWhileMoving() throws {
        var first: MeterTable? = try MeterTable(path: path)
        try enter(first!, 3)
        let second = try MeterTable(path: path)
        try first!.beginLeaving()
        let meter = try second.meter(tenant: "acme")
        meter.add(1, to: .leaving)
        second.reclaim()
        first!.reclaim()
        second.reclaim()
        #expect(meter.inFlight == 4)
        first = nil
        second.reclaim()
        #expect(meter.inFlight == 0)
        #expect(first == nil)
    }

    @Test("slots of what is no longer configured wait for those that leave")
    func retire() throws {
        let first = try MeterTable(path: path)
        let gone = try first.meter(tenant: "gone")
        let second = try MeterTable(path: path)
        try first.beginLeaving()
        first.endLane()
        #expect(!second.retire { _ in })
        #expect(!gone.isRetired)
    }

    @Test("a file is in use while somebody leaves")
    func inUse() throws {
        var first: MeterTable? = try MeterTable(path: path)
        try first!.beginLeaving()
        first!.endLane()
        #expect(MeterTable.isOpen(path) == true)
        first = nil
        #expect(MeterTable.isOpen(path) == false)
        #expect(first == nil)
    }

    @Test("a cut that one of them finds is mended by who took over, once, and what it settles later is nothing")
    func cut() throws {
        let first = try MeterTable(path: path)
        try first.meter(tenant: "acme").add(7, to: .admitted)
        try enter(first, 2)
        first.keepCopy()
        let second = try MeterTable(path: path)
        try leave(first, moving: 2)
        second.keepCopy()
        #expect(truncate(path, 0) == 0)
        #expect(try first.mend() == nil)
        let meter = try second.meter(tenant: "acme")
        let loss = try second.mend()
        #expect(loss?.slots == 1)
        #expect(meter.value(.admitted) == 7)
        meter.subtract(2, from: .leaving)
        #expect(meter.inFlight == 0)
        _ = try first.mend()
        #expect(meter.value(.leaving) == 0)
        #expect(try second.mend() == nil)
        #expect(meter.value(.admitted) == 7)
    }
}
