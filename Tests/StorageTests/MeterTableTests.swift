import Foundation
import TestSupport
import Testing

@testable import Storage

@Suite("MeterTable")
struct MeterTableTests {
    @Test("what was counted is there after the table is opened again")
    func survives() throws {
        let path = freshPath()
        do {
            let table = try MeterTable(path: path)
            let acme = try table.meter(tenant: "acme")
            acme.add(5, to: .admitted)
            let key = try table.meter(.key, "ci", of: acme)
            key.add(3, to: .admitted)
            #expect(table.epoch == 1)
            #expect(table.wasClean)
        }
        let table = try MeterTable(path: path)
        let acme = try table.meter(tenant: "acme")
        #expect(acme.value(.admitted) == 5)
        #expect(try table.meter(.key, "ci", of: acme).value(.admitted) == 3)
        #expect(try table.meter(.route, "ci", of: acme).value(.admitted) == 0)
        #expect(table.epoch == 2)
        #expect(table.wasClean)
        #expect(acme.name == "acme")
        #expect(acme.kind == .tenant)
    }

    @Test("two tables of one file see each other's counts and slots; a third finds it in use")
    func shared() throws {
        let path = freshPath()
        let first = try MeterTable(path: path)
        let one = try first.meter(tenant: "acme")
        let second = try MeterTable(path: path)
        #expect(Set([first.lane, second.lane]) == [0, 1])
        let same = try second.meter(tenant: "acme")
        same.add(7, to: .admitted)
        #expect(one.value(.admitted) == 7)
        let other = try second.meter(tenant: "globex")
        #expect(try first.meter(tenant: "globex").index == other.index)
        #expect(try first.meter(tenant: "initech").index != other.index)
        #expect(throws: StorageFault.inUse(path: path)) { _ = try MeterTable(path: path) }
    }

    @Test("what was in flight in a process that is gone is in flight no more")
    func lanes() throws {
        let path = freshPath()
        let first = try MeterTable(path: path)
        var second: MeterTable? = try MeterTable(path: path)
        let meter = try first.meter(tenant: "acme")
        meter.add(1 << UInt64(32 * first.lane), to: .inFlight)
        try second!.meter(tenant: "acme").add(2 << UInt64(32 * second!.lane), to: .inFlight)
        #expect(meter.inFlight == 3)
        first.reclaim()
        #expect(meter.inFlight == 3)
        #expect(first.isShared)
        second = nil
        first.reclaim()
        #expect(meter.inFlight == 1)
        let third = try MeterTable(path: path)
        #expect(try third.meter(tenant: "acme").inFlight == 1)
    }

    @Test("a slot is given to another only once it is retired, settled and nothing is in flight")
    func reuse() throws {
        let table = try MeterTable(path: freshPath())
        var all: [Meter] = []
        for i in 0..<1024 { all.append(try table.meter(tenant: "t\(i)")) }
        #expect(table.capacity == 1024)
        let gone = all[7]
        gone.add(9, to: .admitted)
        #expect(!table.settle(gone))
        table.retire { keep in all.filter { $0 != gone }.forEach(keep) }
        #expect(gone.isRetired)
        gone.add(1, to: .inFlight)
        #expect(!table.settle(gone))
        gone.subtract(1, from: .inFlight)
        #expect(table.settle(gone))
        let new = try table.meter(tenant: "new")
        #expect(new == gone)
        #expect(new.value(.admitted) == 0)
        #expect(new.name == "new")
        #expect(table.capacity == 1024)
        // And one that comes back while its slot is still there has all that it had.
        table.retire { keep in all.filter { $0 != all[8] }.forEach(keep) }
        all[8].add(4, to: .admitted)
        #expect(table.settle(all[8]))
        #expect(try table.meter(tenant: "t8").value(.admitted) == 4)
        #expect(!all[8].isRetired)
    }

    @Test("a tenant's slot stays while slots of its keys do")
    func parents() throws {
        let path = freshPath()
        let table = try MeterTable(path: path)
        var keep: [Meter] = []
        let tenant = try table.meter(tenant: "acme")
        let key = try table.meter(.key, "k", of: tenant)
        for i in 0..<1022 { keep.append(try table.meter(tenant: "t\(i)")) }
        table.retire { mark in keep.forEach(mark) }
        #expect(table.settle(tenant))
        let new = try table.meter(tenant: "new")
        #expect(new != tenant)
        #expect(key.name == "k")
        #expect(table.meter(at: key.parent)?.name == "acme")
    }

    @Test("a tenant's slot is given to another once those of its keys were")
    func parentsLast() throws {
        let table = try MeterTable(path: freshPath())
        let tenant = try table.meter(tenant: "acme")
        let key = try table.meter(.key, "k", of: tenant)
        for i in 0..<1022 { _ = try table.meter(tenant: "t\(i)") }
        table.retire { keep in table.forEach { if $0 != tenant, $0 != key { keep($0) } } }
        #expect(table.settle(tenant))
        #expect(try table.meter(tenant: "early").index >= 1024)
        for i in 0..<1023 { _ = try table.meter(tenant: "more\(i)") }
        #expect(table.capacity == 2048)
        table.settle(key)
        #expect(try table.meter(tenant: "new") == key)
        #expect(try table.meter(tenant: "newer") == tenant)
        #expect(table.capacity == 2048)
    }

    @Test("20,000 slots are given to others without a look at all of them for each", .timeLimit(.minutes(1)))
    func manyAreReplaced() throws {
        let table = try MeterTable(path: freshPath())
        try table.givingMany { () throws(StorageFault) in
            for i in 0..<20_000 { _ = try table.meter(tenant: "old\(i)") }
        }
        let capacity = table.capacity
        table.retire { _ in }
        table.forEach { table.settle($0) }
        for i in 0..<20_000 { _ = try table.meter(tenant: "new\(i)") }
        #expect(table.capacity == capacity)
    }

    @Test("no word of a slot is another's, nor outside the table")
    func layout() throws {
        let table = try MeterTable(path: freshPath())
        var seen: Set<UInt> = []
        let count = 2 * Meter.block
        for number in 0..<count {
            let meter = try table.meter(tenant: "t\(number)")
            for word in 0..<Meter.words { seen.insert(meter[word].address) }
            // What requests write shares a cache line with nothing else, and no words lie between the two parts.
            #expect(meter[0].address % 64 == 0 && meter[7].address - meter[0].address == 7 * 8)
            #expect(meter[8].address % 64 == 0 && meter[63].address - meter[8].address == 55 * 8)
        }
        #expect(seen.count == count * Meter.words)
        #expect(seen.max()! - seen.min()! == UInt(count * Meter.size - 8))
    }

    @Test("it grows without moving a slot")
    func grows() throws {
        let path = freshPath()
        let table = try MeterTable(path: path)
        let first = try table.meter(tenant: "first")
        first.add(1, to: .cost)
        for i in 0..<5000 { _ = try table.meter(tenant: "t\(i)") }
        #expect(table.capacity == 8192)
        first.add(1, to: .cost)
        #expect(try table.meter(tenant: "first").value(.cost) == 2)
        var count = 0
        table.forEach { _ in count += 1 }
        #expect(count == 5001)
    }

    @Test("a file that is no table, or is cut short, is refused and left as it is")
    func damaged() throws {
        let path = freshPath()
        try Data("hello".utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: StorageFault.self) { _ = try MeterTable(path: path) }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("hello".utf8))
        let other = freshPath()
        do { _ = try MeterTable(path: other).meter(tenant: "acme") }
        let whole = try Data(contentsOf: URL(fileURLWithPath: other))
        try whole.prefix(whole.count - 1).write(to: URL(fileURLWithPath: other))
        #expect(throws: StorageFault.self) { _ = try MeterTable(path: other) }
    }

    @Test("names longer than a slot holds are still told apart")
    func longNames() throws {
        let table = try MeterTable(path: freshPath())
        let tenant = try table.meter(tenant: "acme")
        let long = "/" + String(repeating: "x", count: 100)
        let one = try table.meter(.route, long + "1", of: tenant)
        let two = try table.meter(.route, long + "2", of: tenant)
        #expect(one != two)
        #expect(try table.meter(.route, long + "1", of: tenant) == one)
        #expect(one.name.utf8.count == 64)
    }

    @Test("time goes on, the same for all who have it open")
    func time() throws {
        let path = freshPath()
        let first = try MeterTable(path: path)
        let second = try MeterTable(path: path)
        #expect(first.time.ticks(monotonic: 5_000_000_000) == second.time.ticks(monotonic: 5_000_000_000))
        #expect(first.time.ticks(monotonic: 1001) - first.time.ticks(monotonic: 1000) == 16)
    }

    @Test("the file is its owner's alone")
    func mode() throws {
        let path = freshPath()
        let table = try MeterTable(path: path)
        let attributes = try FileManager.default.attributesOfItem(atPath: table.path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }
}
