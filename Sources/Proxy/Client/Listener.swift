import Metrics
import Net

/// One worker's socket of a listener. The kernel spreads new connections over the workers' sockets.
final class Listener: Acceptor {
    private let worker: Worker
    /// What its next connections get; a reload replaces it.
    var state: ListenerState
    let metrics: ListenerMetrics

    init(worker: Worker, fd: Int32, state: ListenerState, metrics: ListenerMetrics) {
        (self.worker, self.state, self.metrics) = (worker, state, metrics)
        super.init(loop: worker.loop, fd: fd, flow: worker.loop.commonFlow)
    }

    override func accepted(_ fd: Int32, from peer: SocketAddress) -> Bool {
        guard Descriptors.areLeft(behind: fd) else {
            worker.turnAway(fd)
            return false
        }
        worker.accept(fd, peer, self)
        return true
    }

    /// In the last stage of an overload new connections wait where they are.
    override var mayAccept: Bool { worker.overloadStage < 3 }

    /// Connections that the kernel has taken already are served.
    func end() {
        acceptAll()
        loop.closeShared(self)
    }

    override func acceptFailed() { worker.metrics.acceptErrors.add() }
}
