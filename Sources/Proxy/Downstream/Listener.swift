import Base
import Glibc
import Metrics
import Net

/// One worker's socket of a listener. The kernel spreads new connections over the workers' sockets.
final class Listener: Source {
    private let worker: Worker
    /// What its next connections get; a reload replaces it.
    var state: ListenerState
    let metrics: ListenerMetrics

    init(worker: Worker, fd: Int32, state: ListenerState, metrics: ListenerMetrics) {
        (self.worker, self.state, self.metrics) = (worker, state, metrics)
        super.init(loop: worker.loop, fd: fd, flow: worker.loop.commonFlow)
    }

    /// Serves from now on.
    func begin() {
        isWatched = loop.add(self)
        loop.wake(self, .readable)
        if !isWatched { lookAgainSoon() }
    }

    /// Without it the kernel says nothing of new connections: they are looked for.
    private var isWatched = false

    private func lookAgainSoon() { loop.schedule(self, at: loop.now + 50_000_000) }

    override func ready(_ events: Readiness) {
        for _ in 0..<Limits.acceptsPerTurn {
            if !acceptOne() { return }
        }
        loop.wake(self, .readable)
    }

    /// Takes what the kernel has taken already.
    func acceptAll() {
        while !isClosed, acceptOne() {}
    }

    private func acceptOne() -> Bool {
        if let (fd, peer) = Socket.accept(fd) {
            worker.accept(fd, peer, self)
            return true
        }
        switch errno {
        case EAGAIN: return false
        // The client was faster than we: the next one may be there.
        case ECONNABORTED, EINTR, EPROTO: return true
        default:
            // Out of descriptors or memory. Nothing says when there are some again, so look again soon.
            worker.metrics.acceptErrors.add()
            lookAgainSoon()
            return false
        }
    }

    override func expired() {
        if !isWatched { begin() } else { loop.wake(self, .readable) }
    }
}
