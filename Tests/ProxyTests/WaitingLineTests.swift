import TestSupport
import Testing

@testable import Proxy

@Suite struct WaitingLineTests {
    @Test("first come, first served")
    func order() {
        var line = WaitingLine<String>(id: 1)
        for name in ["a", "b", "c"] { _ = line.join(name) }
        #expect(line.count == 3)
        #expect([line.next()?.element, line.next()?.element, line.next()?.element] == ["a", "b", "c"])
        #expect(line.next() == nil && line.isEmpty)
    }

    @Test("who has left is not called, and leaves once")
    func leaving() {
        var line = WaitingLine<String>(id: 1)
        let (a, b) = (line.join("a"), line.join("b"))
        _ = line.join("c")
        #expect(line.leave(b) == "b")
        #expect(line.leave(b) == nil)
        let first = line.next()
        #expect(first?.element == "a" && first?.ticket == a)
        #expect(line.leave(a) == nil)
        #expect(line.next()?.element == "c")
    }

    @Test("a ticket is good in its own line only, and for one wait")
    func tickets() {
        var (one, other) = (WaitingLine<String>(id: 1), WaitingLine<String>(id: 2))
        let (first, foreign) = (one.join("a"), other.join("b"))
        #expect(first != foreign)
        #expect(one.leave(foreign) == nil)
        one.leave(first)
        #expect(one.join("a") != first)
        #expect(one.leave(first) == nil && one.count == 1)
    }

    @Test("any order of joining, leaving and calling agrees with a plain list", arguments: 1...20)
    func random(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var line = WaitingLine<Int>(id: seed)
        var model: [(ticket: WaitingLine<Int>.Ticket, value: Int)] = []
        for value in 0..<5_000 {
            switch random.next() % 5 {
            case 0, 1: model.append((line.join(value), value))
            case 2 where !model.isEmpty:
                let gone = model.remove(at: Int(random.next() % UInt64(model.count)))
                #expect(line.leave(gone.ticket) == gone.value)
            case 3 where !model.isEmpty && value % 97 < 30:
                #expect(line.leave(model.removeLast().ticket) != nil)
            default:
                let called = line.next()
                #expect(called?.element == model.first?.value && called?.ticket == model.first?.ticket)
                if !model.isEmpty { model.removeFirst() }
            }
            #expect(line.count == model.count)
        }
    }
}
