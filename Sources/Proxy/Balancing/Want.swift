import Base
import Net

/// Places for connections to a server that another loop wants. All loops together may have so many, and those that this loop
/// has it gives away: unused ones where nobody waits for them here, and others, as they become free, while it has more than
/// the one that wants them. Loops that all want places so come to have as many as each other, and one that is alone has all.
///
/// A place that is given stays taken: nobody comes in between. A want that is not told again is forgotten soon.
final class Want: Source {
    private let pool: ServerPool
    /// The loop that wants them, how many connections it has, how many it wants more, and how many all may have.
    let index: Int
    private var has = 0
    private var count = 0
    private var most = 0

    init(_ pool: ServerPool, of index: Int) {
        (self.pool, self.index) = (pool, index)
        super.init(loop: pool.worker.loop, fd: -1, flow: pool.worker.loop.commonFlow)
    }

    /// It is told, or told again.
    func adopt(has: Int, count: Int, most: Int) {
        (self.has, self.count, self.most) = (has, count, most)
        loop.schedule(self, at: loop.now + Limits.placesWantedNanoseconds)
        loop.wake(self, [])
    }

    /// A place may be free.
    override func ready(_ events: Readiness) {
        while count > 0, pool.mayGive(toOneWith: has), pool.takeAway(most: most) {
            (has, count) = (has + 1, count - 1)
            pool.worker.group.post(.placeGiven(pool.server), to: index)
        }
    }

    override func expired() { pool.forget(self) }
}
