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

    /// Begins to accept; where the kernel does not watch the socket yet, a little later.
    func open() {
        isWatched = loop.add(self)
        if isWatched { loop.wake(self, .readable) } else { pause() }
    }
    private var isWatched = false

    override func ready(_ events: Readiness) {
        for _ in 0..<Limits.acceptsPerTurn {
            if !acceptOne() { return }
        }
        loop.wake(self, .readable)
    }

    /// Takes what the kernel has taken already.
    func acceptAll() {
        for _ in 0..<Limits.acceptBacklog where !isClosed { if !acceptOne() { return } }
    }

    private func acceptOne() -> Bool {
        if let (fd, peer) = Socket.accept(fd) {
            guard Descriptors.areLeft(behind: fd) else {
                worker.turnAway(fd)
                pause()
                return false
            }
            worker.accept(fd, peer, self)
            return true
        }
        switch errno {
        case EAGAIN: return false
        // The client was faster than we: the next one may be there.
        case ECONNABORTED, EINTR, EPROTO: return true
        default:
            worker.metrics.acceptErrors.add()
            pause()
            return false
        }
    }

    /// Out of descriptors or memory. Nothing says when there are some again, so look again soon.
    private func pause() { loop.schedule(self, at: loop.now + Limits.acceptPauseNanoseconds) }

    override func expired() {
        if isWatched { loop.wake(self, .readable) } else { open() }
    }
}
