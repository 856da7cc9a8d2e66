import Base
import Configuration
import Glibc
import Quotas

extension Worker {
    /// Descriptors of their own for all sockets that this worker listens on; nil where there are none to be had.
    public func copyListeningSockets() -> [Int32]? {
        let copies = listeners.values.joined().map { fcntl($0.fd, F_DUPFD_CLOEXEC, 3) }
        if !copies.contains(-1) { return copies }
        for fd in copies where fd >= 0 { close(fd) }
        return nil
    }

    /// Another process has the sockets and accepts from them. Connections that are there get an answer to their next request
    /// which says that it is the last one, or their time of rest ends; those of HTTP/2 are told at once.
    /// - Parameters:
    ///   - untaken: listeners that the other process has no use for: what waits there is served here.
    ///   - moved: called once nothing of this worker is counted in the process's lane of the meter table.
    ///   - done: called when no connection is left.
    func handOver(untaken: Set<Endpoint>, moved: @Sendable () -> Void, done: @escaping @Sendable () -> Void) {
        (isDraining, isResting) = (true, false)
        whenDrained = done
        for (endpoint, those) in listeners {
            for listener in those {
                if untaken.contains(endpoint) { listener.end() } else { loop.closeShared(listener) }
            }
        }
        listeners = [:]
        enforcer.beginLeaving()
        forEachClient { client in
            client.forEachExchange { if $0.bill.admission != nil { enforcer.move($0.bill.admission!) } }
        }
        moved()
        balancers.retirePools()
        forEachClient { $0.retireWhenAnswered() }
        checkDrained()
    }
}
