import Base
import HTTP
import Metrics
import Net
import Tenancy

/// Requests: heads, and what follows them.
///
/// A region is a part of the inbox, or what can be read of `inbound`. It is good until the next read, or until `inbound` changes;
/// nobody keeps it beyond the turn, and `worker.requestHead` is asked for its bytes only until the exchange has begun.
extension H1Client {
    /// Bytes that a read may take from the kernel before anybody wants them.
    private var aheadMax: Int { tls == nil ? Limits.headReadSize : Limits.headCipherSize }

    /// Reads until one request has begun. The next one is looked at only when its answer is on its way.
    func readHead() {
        if isCongested || hold.until > loop.now { return }
        if parseKept() { return }
        // What is kept and was not looked at yet comes first: a client that sends requests ahead fills no memory.
        while canRead, phase == .head, !hasNewInbound, !isClosed {
            // What is kept already, and what comes with it, is one head's worth together.
            let room = unsafe worker.rooms.inbox(limit: max(aheadMax - inbound.count, Limits.headReadSizeMin))
            switch unsafe receive(into: room) {
            case .bytes(let count): unsafe received(UnsafeMutableRawBufferPointer(start: room.baseAddress, count: count))
            case .nothing: return
            case .end: return inputEnded()
            case .failed: return shut()
            }
        }
    }

    /// What was kept may hold a whole head already. True when it led to something.
    private func parseKept() -> Bool {
        guard inbound != nil, hasNewInbound else { return false }
        let region = unsafe UnsafeMutableRawBufferPointer(mutating: inbound.readable)
        return unsafe parse(region, kept: true)
    }

    func received(_ fresh: UnsafeMutableRawBufferPointer) {
        if inbound != nil {
            unsafe inbound!.append(UnsafeRawBufferPointer(fresh))
            _ = unsafe parse(UnsafeMutableRawBufferPointer(mutating: inbound.readable), kept: true)
        } else {
            _ = unsafe parse(fresh, kept: false)
        }
    }

    /// - Parameter kept: the bytes are those of `inbound`.
    private func parse(_ region: UnsafeMutableRawBufferPointer, kept: Bool) -> Bool {
        hasNewInbound = false
        switch unsafe worker.requestHead.parse(UnsafeRawBufferPointer(region), from: &scanned, limits: worker.requestLimits) {
        case .incomplete:
            if !kept {
                inbound = Buffer(capacity: region.count, from: loop.buffers)
                unsafe inbound!.append(UnsafeRawBufferPointer(region))
                // From the first byte of a head on, the time for all of it runs.
                if requests > 0 { loop.schedule(self, at: loop.now + worker.limits.headerTimeout) }
            }
            return false
        case .refused(let fault):
            if requests == 0, tls == nil, speaksH2, let isWhole = unsafe H2Connection.beginsWithPreface(UnsafeRawBufferPointer(region)) {
                unsafe keepPreface(region, kept: kept)
                if isWhole { worker.becomeH2(self, early: inbound.take()) }
                return isWhole
            }
            // The first bytes of a TLS record of a handshake (RFC 8446 section 5.1).
            let isTLS = unsafe requests == 0 && region.count > 1 && region[0] == 0x16 && region[1] == 0x03
            refuse(
                Refusal(parserStatus: fault.status), isTLS ? "TLS on a plain HTTP port" : fault.reason, status: fault.status)
            return true
        case .complete:
            guard speaksH1 else {
                refuse(Refusal(parserStatus: 505), "this listener speaks HTTP/2 alone", status: 505)
                return true
            }
            scanned = 0
            requests += 1
            unsafe beginRequest(region, kept: kept)
            return true
        }
    }

    /// What may become the preface of HTTP/2 (RFC 9113 section 3.4), or has.
    private func keepPreface(_ region: UnsafeMutableRawBufferPointer, kept: Bool) {
        if kept { return }
        inbound = Buffer(capacity: region.count, from: loop.buffers)
        unsafe inbound!.append(UnsafeRawBufferPointer(region))
    }

    /// A whole head stands at the front of `region`; `worker.requestHead` has taken it apart.
    private func beginRequest(_ region: UnsafeMutableRawBufferPointer, kept: Bool) {
        let length = worker.requestHead.length
        let exchange = worker.takeExchange(for: .h1(self))
        self.exchange = exchange
        phase = .exchange
        keepsOn = worker.requestHead.keepAlive
        isHTTP10 = worker.requestHead.version == .http10
        // Who sends a body along does not wait to be asked for it.
        expectsContinue = worker.requestHead.expectsContinue && length == region.count
        body.begin(worker.requestHead.framing)
        metrics.requestBegan()
        loop.schedule(self, at: .max)
        do throws(Exchange.Halt) {
            try exchange.begin(worker.requestHead, after: paused)
            paused = nil
        } catch {
            if case .aside(let reason) = error { return unsafe pause(reason, region, kept: kept) }
            paused = nil
            // The answer is on its way. What else has come is the next request, if there is to be one, or of a body to be dropped.
            if !isClosed { unsafe keepRest(of: region, from: length, kept: kept) }
            if !isClosed, phase == .head || phase == .linger, inbound != nil || canRead { loop.wake(self, []) }
            return
        }
        // The body, or its first part, must stand where there is room in front of it.
        var rest = unsafe UnsafeMutableRawBufferPointer(rebasing: region[length...])
        if kept, !body.isDone, unsafe !rest.isEmpty {
            let copy = unsafe worker.rooms.inbox(limit: rest.count)
            unsafe copy.copyMemory(from: UnsafeRawBufferPointer(rest))
            unsafe rest = copy
        } else if !kept, tls == nil, canRead, body.ahead > UInt64(rest.count) {
            unsafe rest = withItsPlace(of: length, behind: rest, most: body.ahead)
        }
        let step = unsafe body.read(rest)
        unsafe keepRest(of: region, from: length + step.consumed, kept: kept)
        if let fault = step.fault { return exchange.requestFailed(fault, after: step.produced) }
        unsafe exchange.forward(part(of: rest, step))
        // The read that brought the head may have left part of the body in the kernel, and no event will tell of it.
        if canRead, self.exchange === exchange, exchange.wantsRequest { loop.wake(self, []) }
    }

    private func part(of region: UnsafeMutableRawBufferPointer, _ step: BodyReader.Step) -> BodyPart {
        unsafe BodyPart(UnsafeMutableRawBufferPointer(rebasing: region[..<step.produced]), isLast: body.isDone, trailers: body.trailers)
    }

    /// A head has taken some of the first read's room from its body: as much of that is read on, so that a body of a head's
    /// worth goes on in one piece. All of it is this request's.
    private func withItsPlace(
        of length: Int, behind rest: UnsafeMutableRawBufferPointer, most: UInt64
    ) -> UnsafeMutableRawBufferPointer {
        let missing = Int(min(most - UInt64(rest.count), UInt64(length)))
        guard let start = rest.baseAddress,
            case .bytes(let count) = unsafe receive(into: UnsafeMutableRawBufferPointer(start: start + rest.count, count: missing))
        else {
            // An end is told again at the next read.
            canRead = canRead || peerFinished
            return unsafe rest
        }
        return unsafe UnsafeMutableRawBufferPointer(start: start, count: rest.count + count)
    }

    /// Puts the request back, to be taken anew when what it waits for has come, or its time is over.
    private func pause(_ reason: Exchange.Pause, _ region: UnsafeMutableRawBufferPointer, kept: Bool) {
        guard let exchange else { return }
        self.exchange = nil
        metrics.requestEnded()
        worker.giveBack(exchange)
        if !kept { unsafe keepAhead(UnsafeRawBufferPointer(region)) }
        phase = .paused
        paused = reason
        switch reason {
        case .keys(let until): loop.schedule(self, at: until)
        case .guess, .openGuess: loop.schedule(self, at: loop.now + GuessDamper.delay)
        }
    }

    /// An issuer's keys were fetched.
    func keysFetched() {
        if case .keys = paused { resume() }
    }

    /// Takes up the request that waits.
    func resume() {
        guard phase == .paused else { return }
        phase = .head
        hasNewInbound = true
        loop.schedule(self, at: loop.now + worker.limits.headerTimeout)
        loop.wake(self, [])
    }

    /// Bytes past the request's end are the next one's.
    private func keepRest(of region: UnsafeMutableRawBufferPointer, from offset: Int, kept: Bool) {
        if kept {
            guard inbound != nil else { return }
            inbound!.consume(offset)
            if inbound.count == 0 { inbound = nil } else { hasNewInbound = true }
        } else if offset < region.count {
            unsafe keepAhead(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[offset...]))
        }
    }

    private func keepAhead(_ bytes: UnsafeRawBufferPointer) {
        inbound = Buffer(capacity: bytes.count, from: loop.buffers)
        unsafe inbound!.append(bytes)
        hasNewInbound = true
    }

    // MARK: Bodies

    /// The next part of the body, as the upstream takes it; in a tunnel, whatever comes.
    func readBody() {
        guard let exchange else { return }
        // Nothing is read ahead. That nothing more is to come is no reason to leave the client without its answer.
        if body.isDone { return }
        if phase == .tunnel, inbound != nil, exchange.wantsRequest { takeEarly(exchange) }
        while canRead, !isClosed, self.exchange === exchange, exchange.wantsRequest {
            switch unsafe receive(into: worker.rooms.inbox(limit: bodyReadSize)) {
            case .bytes(let count):
                unsafe takeBody(worker.rooms.inbox(limit: count), exchange)
                if canRead, self.exchange === exchange {
                    loop.wake(self, [])
                    return
                }
            case .nothing: return
            case .end:
                // Half a request has no answer.
                guard phase == .tunnel, body.end() else { return shut() }
                return exchange.requestPart(.end)
            case .failed: return shut()
            }
        }
    }

    /// Bytes of another protocol that came with the request to switch to it.
    private func takeEarly(_ exchange: Exchange) {
        let early = unsafe worker.rooms.inbox(limit: inbound.count)
        unsafe early.copyMemory(from: inbound.readable)
        inbound = nil
        unsafe exchange.requestPart(BodyPart(early, isLast: false))
    }

    /// What comes behind the body is kept: no more of that than a head's worth.
    private var bodyReadSize: Int {
        if phase == .tunnel { return Limits.readSize }
        return min(Int(min(body.ahead, UInt64(Limits.readSize))) + aheadMax, Limits.readSize)
    }

    private func takeBody(_ region: UnsafeMutableRawBufferPointer, _ exchange: Exchange) {
        expectsContinue = false
        let step = unsafe body.read(region)
        if step.consumed < region.count {
            unsafe keepAhead(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[step.consumed...]))
        }
        if let fault = step.fault { return exchange.requestFailed(fault, after: step.produced) }
        unsafe exchange.requestPart(part(of: region, step))
    }
}
