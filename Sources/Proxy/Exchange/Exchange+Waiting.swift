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
        /// Connections are being made for it.
        case dial(Dial)
        /// It is to be sent again, but not yet.
        case pause
        /// It is late on purpose.
        case fault
        /// A service is being asked about it.
        case decision(DecisionCall, WaitingLine<Exchange>.Ticket)
    }

    /// It stands in a line from now on, until it is called or its time is over.
    /// - Parameter patience: how long in this line. A second line never lengthens what is left of a first one's.
    func waits(_ line: Line, atMost patience: UInt64) {
        assert(phase != .waiting && upstream == nil, "it waits already, or need not")
        (phase, self.line) = (.waiting, line)
        waitsUntil = min(waitsUntil, worker.loop.now + patience)
        if case .dial = line {
            // All connecting of a request together has its time, which does not begin before there is a place and a name.
            if attempts.dialsUntil == 0 { attempts.dialsUntil = worker.loop.now + patience }
            waitsUntil = attempts.dialsUntil
        }
        if let call = request.grpc { waitsUntil = min(waitsUntil, call.deadline) }
        setClientDeadline()
    }

    /// The line calls it, and has let go of it. False when it is not this ticket that it waits with: it has left meanwhile.
    func isCalled(_ ticket: WaitingLine<Exchange>.Ticket) -> Bool {
        switch line {
        case .place(_, ticket)?, .name(_, ticket)?, .decision(_, ticket)?:
            (phase, line) = (.forwarding, nil)
            return true
        default:
            worker.metrics.staleEvents.add()
            return false
        }
    }

    /// The connections that are being made for it call it.
    func isCalled(by dial: Dial) -> Bool {
        if case .dial(let own)? = line, own === dial {
            (phase, line) = (.forwarding, nil)
            return true
        }
        worker.metrics.staleEvents.add()
        return false
    }

    /// What it got for its waiting: a connection, an attempt to connect, another line, or nothing.
    func acquired(_ result: Balancer.Acquired) {
        setClientDeadline()
        goOn(result)
    }

    func goOn(_ result: Balancer.Acquired) {
        switch result {
        case .connection: connected()
        case .later: if bill.isFree { leaveLine() }
        case .refused(let problem): refuse(problem, "no server is available")
        case .unreachable: if !connectsAgain() { refuse(.badUpstream, "the upstream can't be reached") }
        }
    }

    /// Leaves the line that it stands in.
    func stopWaiting() {
        guard phase == .waiting, let left = line else { return }
        (phase, line) = (.forwarding, nil)
        switch left {
        case .place(let balancer, let ticket): balancer.stopWaiting(ticket, self)
        case .name(let server, let ticket): worker.stopWaiting(for: server, ticket)
        case .dial(let dial): dial.cancel()
        case .decision(let call, let ticket): call.leave(ticket)
        case .pause, .fault: break
        }
    }

    /// Its time in the line is over.
    func endWaiting() {
        if let call = request.grpc, call.deadline <= worker.loop.now {
            stopWaiting()
            refuse(.upstreamTimeout, "the call's time is over")
            return
        }
        let left = line
        if case .pause? = left { return endPause() }
        if case .fault? = left { return endFault() }
        if case .dial(let dial)? = left { dial.gaveUp() }
        stopWaiting()
        switch left {
        case .dial?: goOn(.unreachable)
        case .decision?: decided(nil)
        case .name(let server, _)?:
            resolution.balancer?.follow { $0.gaveUp(server, for: self) }
            refuse(.noHealthyUpstream, "the upstream's name was not found in time")
        case .place?, .pause?, .fault?, nil: refuse(.overloaded, "no connection to the upstream became free in time")
        }
    }
}
