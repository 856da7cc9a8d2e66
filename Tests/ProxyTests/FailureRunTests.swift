import TestSupport
import Testing

@testable import Proxy

@Suite struct FailureRunTests {
    private func verdict(_ failures: Int, _ tenants: [UInt32?]) -> FailureRun.Verdict {
        var run = FailureRun()
        for tenant in tenants { run.fail(tenant) }
        return run.verdict(failures, tenants.last ?? nil)
    }

    @Test("what is nobody's doing counts in full", arguments: [1, 2, 5, 100])
    func neutral(failures: Int) {
        #expect(verdict(failures, Array(repeating: nil, count: failures - 1)) == .none)
        #expect(verdict(failures, Array(repeating: nil, count: failures)) == .badForAll)
    }

    @Test("one tenant alone makes a server bad for itself, however often it fails", arguments: [1, 2, 5, 15])
    func alone(failures: Int) {
        #expect(verdict(failures, Array(repeating: 7, count: failures - 1)) == .none)
        for count in [failures, failures + 1, 1000] {
            #expect(verdict(failures, Array(repeating: 7, count: count)) == .badForTenant)
        }
    }

    @Test("one failure of another tenant does not help it; a second one does")
    func others() {
        #expect(verdict(5, [1, 1, 1, 1, 1, 1, 1, 2]) == .none)
        #expect(verdict(5, [2, 1, 1, 1, 1, 1, 1, 1]) == .badForTenant)
        #expect(verdict(5, [1, 1, 1, 1, 1, 2, 2]) == .badForAll)
        #expect(verdict(5, [1, 2, 3, 4, 5]) == .badForAll)
        #expect(verdict(5, [1, 1, 1, nil, 2]) == .badForAll)
        #expect(verdict(1, [1]) == .badForTenant)
    }

    @Test("two tenants that can't be told apart are one")
    func classes() { #expect(verdict(5, [1, 14, 1, 14, 1, 14, 1, 14]) == .badForTenant) }

    @Test("no count runs over into another", arguments: 1...10)
    func bounds(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var run = FailureRun()
        for _ in 0..<20_000 { run.fail(Bool.random(using: &random) ? nil : UInt32.random(in: 0..<4, using: &random)) }
        #expect(run.word == UInt64(0xFFF) << 52 | 0xFFFF)
    }
}

@Suite struct ServerConditionTests {
    private let second: UInt64 = 1_000_000_000

    /// The macro takes no values that can't be copied.
    private func expect(_ isSo: Bool, at place: SourceLocation = #_sourceLocation) { #expect(isSo, sourceLocation: place) }

    @Test("it is out for its time, then back, and its share grows where that is said")
    func back() {
        let server = ServerCondition()
        expect(server.isPlain)
        server.eject(.failures(status: 500), for: 10 * second, at: 5 * second)
        expect(server.isEjected(at: 14 * second) && !server.isDue(at: 14 * second))
        expect(!server.isEjected(at: 15 * second) && server.isDue(at: 15 * second))
        expect(server.comeBack(at: 15 * second) && !server.comeBack(at: 15 * second))
        expect(server.isPlain && server.share(at: 15 * second) == 100)
        server.adopt(slowStart: 20 * second, ejects: true)
        server.eject(.failures(status: 500), for: 10 * second, at: 100 * second)
        server.comeBack(at: 110 * second)
        expect(server.isGrowing(at: 111 * second))
        expect((0...20).map { server.share(at: (110 + $0) * second) } == [10, 10] + (2...20).map { Int($0) * 5 })
        expect(server.isPlain)
    }

    @Test("each ejection in a row is twice as long, up to ten minutes; a row ends with as long a time of service")
    func rows() {
        let server = ServerCondition()
        var now = second
        var times: [UInt64] = []
        for _ in 0..<9 {
            server.eject(.slow(4), for: 10 * second, at: now)
            times.append(server.ejectedFor / second)
            now += server.ejectedFor
            server.comeBack(at: now)
            now += server.ejectedFor - 1
        }
        expect(times == [10, 20, 40, 80, 160, 320, 600, 600, 600])
        now += 1
        server.eject(.failures(status: nil), for: 10 * second, at: now)
        expect(server.ejectedFor == 10 * second)
        expect(server.ejections(.slow) == 9 && server.ejections(.failures) == 1)
    }

    @Test("an answer ends a run, and so does the way back")
    func runs() {
        let server = ServerCondition()
        for _ in 0..<20 {
            for _ in 0..<4 { expect(server.failed(nil, of: 5) == .none) }
            server.worked()
        }
        for _ in 0..<4 { expect(server.failed(nil, of: 5) == .none) }
        expect(server.failed(nil, of: 5) == .badForAll)
        server.eject(.failures(status: nil), for: second, at: 0)
        server.comeBack(at: second)
        expect(server.failed(nil, of: 5) == .none)
    }

    @Test("what is left out for one tenant is there for others")
    func tenants() {
        let server = ServerCondition()
        server.leaveOut(for: 4, until: 10 * second)
        server.leaveOut(for: 5, until: 20 * second)
        expect(server.isLeftOut(for: 4, at: 9 * second) && !server.isLeftOut(for: 4, at: 10 * second))
        expect(server.isLeftOut(for: 5, at: 19 * second))
        for other: UInt32 in [0, 1, 2, 3, 8, 9] { expect(!server.isLeftOut(for: other, at: 9 * second)) }
        expect(!server.isEjected(at: 9 * second))
    }

    @Test("tenants' tags use all places that there are for them")
    func tags() {
        let tags = (0..<400).map { TenantState.tag(of: "tenant-\($0)") }
        for classes: UInt32 in [4, 8, 13, 64] {
            var counts: [UInt32: Int] = [:]
            for tag in tags { counts[tag % classes, default: 0] += 1 }
            #expect(counts.count == Int(classes) || classes == 64 && counts.count > 55, "\(classes): \(counts)")
        }
    }

    @Test("a configuration that ejects nobody takes all back, and health stays what it was")
    func adopted() {
        let server = ServerCondition()
        server.set(healthy: false, at: 0)
        server.eject(.failures(status: 503), for: 10 * second, at: 0)
        server.leaveOut(for: 4, until: 10 * second)
        server.adopt(slowStart: nil, ejects: true)
        expect(server.isEjected(at: second) && server.isLeftOut(for: 4, at: second))
        server.adopt(slowStart: nil, ejects: false)
        expect(!server.isEjected(at: second) && !server.isLeftOut(for: 4, at: second) && server.isDown)
        server.adopt(slowStart: 10 * second, ejects: false)
        server.set(healthy: true, at: 50 * second)
        expect(server.isGrowing(at: 51 * second) && server.share(at: 55 * second) == 50)
    }
}

@Suite struct LatencyTests {
    private let millisecond: UInt64 = 1_000_000

    @Test("a bucket begins at no more than what is in it, and that by less than a quarter")
    func buckets() {
        for exponent in 0..<200 {
            let time = UInt64(100_000 * pow(1.1, exponent))
            if time >> 16 > 1 << 19 { break }
            let start = LatencyCells.start(of: LatencyCells.bucket(of: time))
            #expect(start <= max(time, 1 << 16))
            if time > 8 << 16 { #expect(Double(time) < 1.25 * Double(start) + 65536) }
        }
        #expect(LatencyCells.bucket(of: 0) == 0)
        #expect(LatencyCells.bucket(of: .max) == LatencyCells.buckets - 1)
    }

    private func pow(_ base: Double, _ exponent: Int) -> Double { (0..<exponent).reduce(1) { product, _ in product * base } }

    private func window(_ times: [(ms: UInt64, count: Int, tenant: UInt32?)]) -> LatencyWindow {
        let cells = LatencyCells()
        for (ms, count, tenant) in times { for _ in 0..<count { cells.record(ms * millisecond, of: tenant) } }
        var sums = [UInt32](repeating: 0, count: LatencyCells.classes * LatencyCells.buckets)
        cells.add(to: &sums)
        return LatencyWindow(counts: sums)
    }

    @Test("slow is who has a p90 of more than so many times the others', of enough answers and by something worth while")
    func slow() {
        let usual = [window([(5, 100, nil)]), window([(6, 50, nil)])]
        func slowness(_ times: [(ms: UInt64, count: Int, tenant: UInt32?)]) -> UInt64? {
            window(times).slowness(beside: usual, factor: 3, isShared: false)
        }
        #expect(slowness([(250, 20, nil)]) ?? 0 > 30)
        #expect(slowness([(250, 19, nil)]) == nil, "too few")
        #expect(slowness([(5, 100, nil), (250, 9, nil)]) == nil, "one of ten may be slow")
        #expect(slowness([(5, 80, nil), (250, 20, nil)]) != nil)
        #expect(slowness([(13, 100, nil)]) == nil, "not three times")
        #expect(window([(8, 100, nil)]).slowness(beside: [window([(1, 100, nil)])], factor: 3, isShared: false) == nil, "7 ms")
        #expect(window([(250, 50, nil)]).slowness(beside: [window([(5, 19, nil)])], factor: 3, isShared: false) == nil)
        #expect(window([(250, 50, nil)]).slowness(beside: [], factor: 3, isShared: false) == nil)
    }

    @Test("of several tenants one alone makes nobody slow, and each is compared with itself")
    func shared() {
        let usual = [window([(5, 100, 1), (5, 100, 2), (900, 100, 3)])]
        func slowness(_ times: [(ms: UInt64, count: Int, tenant: UInt32?)]) -> UInt64? {
            window(times).slowness(beside: usual, factor: 3, isShared: true)
        }
        #expect(slowness([(500, 5000, 1)]) == nil)
        #expect(slowness([(500, 5000, 1), (5, 30, 2)]) == nil)
        #expect(slowness([(500, 5000, 1), (500, 30, 2)]) != nil)
        #expect(slowness([(900, 500, 3), (5, 30, 2), (5, 30, 1)]) == nil, "that one is as slow elsewhere")
        #expect(slowness([(500, 5000, 1), (500, 10, 2)]) == nil, "too few of the other")
    }
}
