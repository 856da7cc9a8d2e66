import Base
import HTTP
import Net

/// One connection to a server: one request at a time, kept for the next one only when nothing was left unclear.
///
///     connecting ──► busy ◄──► idle
///          └──────────┴─────────┴──► closed
final class UpstreamConnection: Transport {
    enum State { case connecting, busy, idle }

    let pool: ServerPool
    let address: SocketAddress
    private(set) var state = State.connecting
    /// Whom it was given to. Not to be believed alone: see `exchange`.
    private var holder: Exchange?
    /// It has carried a request before: the server may have closed it meanwhile, unseen.
    private(set) var isReused = false
    /// Received and not yet a whole head.
    private var inbound: Buffer?
    private var scanned = 0
    /// The exchange's deadline (time for an answer) is at work.
    private var responseTimeout: UInt64 = 0
    /// The deadline is that of the tenant's bandwidth.
    private var isHeldByPace = false

    init(worker: Worker, fd: Int32, pool: ServerPool, address: SocketAddress) {
        (self.pool, self.address) = (pool, address)
        super.init(worker: worker, fd: fd, flow: worker.loop.commonFlow)
    }

    /// Whose answer it carries: only one that names this connection as its own (see `Exchange`, Links).
    private var exchange: Exchange? {
        guard let holder else { return nil }
        if holder.upstream === self { return holder }
        worker.metrics.staleEvents.add()
        return nil
    }

    /// Belongs to the exchange from now on.
    func use(_ exchange: Exchange, now: UInt64) {
        precondition(holder == nil, "the connection carries another request")
        holder = exchange
        flow = exchange.client.flow
        pool.inFlight += 1
        exchange.attempt(on: self)
        if state == .idle { state = .busy }
    }

    // MARK: Events

    override func ready(_ events: Readiness) {
        note(events)
        switch state {
        case .connecting:
            if !events.isDisjoint(with: [.writable, .failed, .hungUp]) { connected() }
        case .idle:
            // Nothing was asked: bytes are nobody's answer, and an end is an end. `canRead` may be left from a long answer.
            if events.isDisjoint(with: [.readable, .peerFinished, .hungUp, .failed]) { return }
            shut()
        case .busy:
            if isCongested, flush() { exchange?.upstreamDrained() }
            if canRead, state == .busy { readAnswer() }
        }
    }

    private func connected() {
        let error = Socket.error(fd)
        guard error == 0 else { return lost() }
        state = .busy
        isBroken = false
        pool.succeeded()
        loop.schedule(self, at: .max)
        exchange?.connected()
        // What it said before it was asked came with the event that brought us here.
        if canRead, state == .busy { loop.wake(self, []) }
    }

    override func expired() {
        switch state {
        case .connecting: lost()
        case .idle: shut()
        case .busy:
            if isHeldByPace {
                isHeldByPace = false
                loop.schedule(self, at: loop.now + responseTimeout)
                return loop.wake(self, [])
            }
            exchange?.upstreamTimedOut()
        }
    }

    /// Could not connect.
    private func lost() {
        pool.failed()
        let exchange = exchange
        shut()
        exchange?.connectFailed()
    }

    // MARK: The answer

    /// The answer, or its next part, must come within `timeout` from now.
    func expectAnswer(within timeout: UInt64) {
        responseTimeout = timeout
        loop.schedule(self, at: loop.now + timeout)
    }

    /// The client is slow: nothing is read, and no time runs.
    func pause() {
        isHeldByPace = exchange?.isPaced == true
        loop.schedule(self, at: isHeldByPace ? exchange!.pacedUntil : .max)
    }

    /// The client takes more: the next part of the answer may be there already.
    /// - Parameter isOwed: it is due, from now on.
    func resume(isOwed: Bool) {
        if isOwed, responseTimeout > 0 { loop.schedule(self, at: loop.now + responseTimeout) }
        loop.wake(self, [])
    }

    func readAnswer() {
        guard let exchange else { return }
        if canRead, !exchange.answerHasBegun { exchange.prefetch() }
        while canRead, state == .busy, exchange.upstream === self {
            if !exchange.wantsAnswer { return pause() }
            isHeldByPace = false
            let room = worker.inbox(limit: exchange.client.isSlow ? Worker.smallRead : exchange.answerReadSize)
            switch receive(into: room) {
            case .bytes(let count):
                if exchange.isTunnel {
                    exchange.tunnelFromUpstream(UnsafeRawBufferPointer(rebasing: room[..<count]))
                } else if exchange.answerHasBegun {
                    loop.schedule(self, at: loop.now + responseTimeout)
                    exchange.answerBody(UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
                } else {
                    readHead(UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
                }
                // One read a turn when there may be much more: others want a turn as well.
                if canRead, state == .busy {
                    loop.wake(self, [])
                    return
                }
            case .nothing: return
            case .end: return exchange.answerEnded()
            case .failed: return exchange.answerFailed()
            }
        }
    }

    /// Collects the head; what follows it in the same read stays where it is, in front of which there is room.
    private func readHead(_ fresh: UnsafeMutableRawBufferPointer) {
        guard let exchange else { return }
        var region = fresh
        if inbound != nil {
            inbound!.append(UnsafeRawBufferPointer(fresh))
            let all = inbound.readable
            // Back into the inbox, so that there is one way on from here. It fits: a head has its bound.
            region = worker.inbox(limit: all.count)
            region.copyMemory(from: all)
        }
        while state == .busy {
            let outcome = worker.responseHead.parse(
                UnsafeRawBufferPointer(region), from: &scanned, requestMethod: exchange.method, limits: worker.responseLimits)
            switch outcome {
            case .incomplete:
                if inbound == nil { inbound = Buffer(capacity: region.count, from: loop.buffers) } else { inbound!.removeAll() }
                inbound!.append(UnsafeRawBufferPointer(region))
                return
            case .refused:
                return exchange.answerMalformed()
            case .complete:
                scanned = 0
                let length = worker.responseHead.length
                let head = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[..<length])
                let rest = UnsafeMutableRawBufferPointer(rebasing: region[length...])
                if exchange.answerHead(head, followedBy: rest, from: self) {
                    inbound = nil
                    return
                }
                // An interim answer: the next head may have come with it.
                region = rest
                if region.isEmpty {
                    inbound = nil
                    return
                }
            }
        }
    }

    // MARK: The end

    /// The exchange is done with it. Kept only when the next answer on it can't be mistaken for anything else.
    func release(keep: Bool) {
        dropHolder()
        inbound = nil
        scanned = 0
        isSlow = false
        (responseTimeout, isHeldByPace) = (0, false)
        // A read that filled its room may have left bytes behind, which would be taken for the next answer.
        guard keep, !pool.isRetired, !canRead, !peerFinished, !isBroken, !isCongested, !worker.isDraining else { return shut() }
        state = .idle
        isReused = true
        flow = loop.commonFlow
        loop.schedule(self, at: loop.now + ServerPool.idleTimeout)
        pool.putIdle(self)
    }

    override func shut(abort: Bool = false) {
        if isClosed { return }
        dropHolder()
        inbound = nil
        pool.forget(self)
        super.shut(abort: abort)
    }

    private func dropHolder() {
        if holder == nil { return }
        holder = nil
        pool.inFlight -= 1
    }
}
