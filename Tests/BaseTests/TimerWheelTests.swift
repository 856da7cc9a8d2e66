import Testing

@testable import Base

@Suite struct TimerWheelTests {
    private final class Node: Timed {
        var fired: [UInt64] = []
    }

    private static let second: UInt64 = 1_000_000_000

    /// Moves time on in steps and notes when each node fires.
    private func run(_ wheel: inout TimerWheel, from start: UInt64, to end: UInt64, step: UInt64) {
        var now = start
        while now <= end {
            while let late = wheel.next(due: now) { (late as! Node).fired.append(now) }
            now += step
        }
    }

    @Test("a deadline fires once, not early, and no later than a tick and a step", arguments: [
        1, 4_000_000, 250_000_000, 10 * second, 17 * second, 18 * second, 34 * second, 75 * second, 400 * second,
    ])
    func fires(after delay: UInt64) {
        let start: UInt64 = 123_456_789_000
        var wheel = TimerWheel(now: start)
        let node = Node()
        wheel.schedule(node, at: start + delay)
        run(&wheel, from: start, to: start + delay + Self.second, step: 7_000_000)
        #expect(node.fired.count == 1)
        #expect(node.fired.first.map { $0 >= start + delay && $0 <= start + delay + 12_000_000 } == true)
    }

    @Test("a deadline that moves away again and again never fires")
    func postponed() {
        var wheel = TimerWheel(now: 0)
        let node = Node()
        for second in 0..<200 as Range<UInt64> {
            wheel.schedule(node, at: (second + 75) * Self.second)
            run(&wheel, from: second * Self.second, to: (second + 1) * Self.second, step: 50_000_000)
        }
        #expect(node.fired.isEmpty)
        wheel.remove(node)
    }

    @Test("a deadline that is moved forward fires at its new time")
    func sooner() {
        var wheel = TimerWheel(now: 0)
        let node = Node()
        wheel.schedule(node, at: 60 * Self.second)
        wheel.schedule(node, at: 2 * Self.second)
        run(&wheel, from: 0, to: 70 * Self.second, step: 10_000_000)
        #expect(node.fired == [2 * Self.second + 10_000_000] || node.fired == [2 * Self.second])
    }

    @Test("a cancelled deadline does not fire, and the wheel says how long to wait")
    func cancelled() {
        var wheel = TimerWheel(now: 0)
        let (one, two) = (Node(), Node())
        wheel.schedule(one, at: Self.second)
        wheel.schedule(two, at: 3 * Self.second)
        wheel.schedule(one, at: .max)
        #expect(wheel.wait(now: 0).map { $0 <= 3 * Self.second + 5_000_000 } == true)
        run(&wheel, from: 0, to: 4 * Self.second, step: 10_000_000)
        #expect(one.fired.isEmpty && two.fired.count == 1)
        #expect(wheel.wait(now: 4 * Self.second) == nil)
    }

    @Test("a long sleep makes up for all that was missed")
    func overslept() {
        var wheel = TimerWheel(now: 0)
        let nodes = (0..<1000).map { _ in Node() }
        for (i, node) in nodes.enumerated() { wheel.schedule(node, at: UInt64(i) * 100_000_000) }
        while let late = wheel.next(due: 500 * Self.second) { (late as! Node).fired.append(1) }
        #expect(nodes.allSatisfy { $0.fired.count == 1 })
    }
}
