import TestSupport
import Testing

@testable import Proxy

@Suite struct ConnectionPoolTests {
    final class Line {}

    @Test("the one that was used last is taken first")
    func order() {
        var pool = ConnectionPool<Line>()
        let lines = (0..<3).map { _ in Line() }
        for line in lines {
            pool.opened()
            pool.put(line)
        }
        #expect(pool.open == 3 && pool.hasIdle)
        for line in lines.reversed() { #expect(pool.take() === line) }
        #expect(pool.take() == nil && !pool.hasIdle && pool.open == 3)
    }

    @Test("a closed one is not taken, whether it was idle or in use")
    func closed() {
        var pool = ConnectionPool<Line>()
        let (idle, busy) = (Line(), Line())
        for _ in 0..<2 { pool.opened() }
        pool.put(idle)
        pool.closed(busy)
        #expect(pool.open == 1 && pool.hasIdle)
        pool.closed(idle)
        #expect(pool.open == 0 && pool.take() == nil)
    }

    @Test("any order of opening, using and closing agrees with plain lists", arguments: 1...10)
    func random(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var pool = ConnectionPool<Line>()
        var (busy, idle): ([Line], [Line]) = ([], [])
        for _ in 0..<3_000 {
            switch random.next() % 6 {
            case 0, 1:
                pool.opened()
                busy.append(Line())
            case 2 where !busy.isEmpty:
                let line = busy.remove(at: Int(random.next() % UInt64(busy.count)))
                pool.put(line)
                idle.append(line)
            case 3:
                let taken = pool.take()
                #expect(taken === idle.last)
                if let taken { busy.append(taken) }
                _ = idle.popLast()
            case 4 where !busy.isEmpty:
                pool.closed(busy.remove(at: Int(random.next() % UInt64(busy.count))))
            case 5 where !idle.isEmpty:
                pool.closed(idle.remove(at: Int(random.next() % UInt64(idle.count))))
            default: break
            }
            #expect(pool.open == busy.count + idle.count && pool.idle.elementsEqual(idle) { $0 === $1 })
        }
    }
}
