import Metrics
import Net

/// Waiting: in one line at a time, with one deadline for all of it, and an answer at its end.
extension Exchange {
    /// The one line that it stands in, and its place there.
    enum Line {
        /// Every server has as many connections as it may have.
        case place(Balancer, WaitingLine<Exchange>.Ticket)
        /// Its server's name is being looked up.
        case name(Server, WaitingLine<Exchange>.Ticket)
    }

    /// It stands in a line from now on, until it is called or its time is over.
    /// - Parameter patience: how long in this line. A second line never lengthens what is left of a first one's.
    func waits(_ line: Line, atMost patience: UInt64) {
        assert(phase != .waiting && upstream == nil, "it waits already, or need not")
        (phase, self.line) = (.waiting, line)
        waitsUntil = min(waitsUntil, worker.loop.now + patience)
        setClientDeadline()
    }

    /// The line calls it, and has let go of it. False when it is not this ticket that it waits with: it has left meanwhile.
    func isCalled(_ ticket: WaitingLine<Exchange>.Ticket) -> Bool {
        switch line {
        case .place(_, ticket)?, .name(_, ticket)?:
            (phase, line) = (.forwarding, nil)
            return true
        default:
            worker.metrics.staleEvents.add()
            return false
        }
    }

    /// What it got for its waiting: a connection, an attempt to connect, another line, or nothing.
    func acquired(_ result: Balancer.Acquired) {
        setClientDeadline()
        goOn(result)
    }

    func goOn(_ result: Balancer.Acquired) {
        switch result {
        case .connection: connected()
        case .later: break
        case .refused(let problem): refuse(problem, "no server is available")
        }
    }

    /// Leaves the line that it stands in.
    func stopWaiting() {
        guard phase == .waiting, let left = line else { return }
        (phase, line) = (.forwarding, nil)
        switch left {
        case .place(let balancer, let ticket): balancer.stopWaiting(ticket)
        case .name(let server, let ticket): worker.stopWaiting(for: server, ticket)
        }
    }

    func refuseWaiting() {
        let left = line
        stopWaiting()
        switch left {
        case .name(let server, _)?:
            resolution.balancer?.follow { $0.gaveUp(server) }
            refuse(.noHealthyUpstream, "the upstream's name was not found in time")
        case .place?, nil: refuse(.overloaded, "no connection to the upstream became free in time")
        }
    }
}
