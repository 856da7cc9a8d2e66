import Base
import HTTP
import Metrics

/// What may still come of a client after its last answer.
struct Linger {
    /// Monotonic nanoseconds.
    var until: UInt64 = 0
    /// Bytes.
    var left = 0
}

/// The end of a connection. Closed at once, with bytes of the client unread, it would be reset, and the answer lost on its way
/// (RFC 9112 section 9.6): many clients send all of a request before they read a word. So a refused body is read on to its end
/// and dropped, a read in each turn of its tenant, within bounds of bytes and time, as a connection like any other.
extension H1Client {
    /// Closes once everything is sent.
    func close() {
        if isClosed { return }
        phase = .linger
        if let tls, !hasEndedSending {
            guard finishEncrypted(tls) else { return shut() }
        }
        whenSent = .closes
        if isCongested {
            loop.schedule(self, at: loop.now + worker.limits.bodyTimeout)
        } else {
            finishSending()
        }
    }

    func finishSending() {
        // Nothing unread, and nothing to come: an ordinary close.
        guard canRead || inbound != nil || mayStillSend else { return shut() }
        endSending()
        phase = .linger
        // Who waits to be asked for a body (RFC 9110 section 10.1.1) has his answer and sends none, unless it is on its way.
        let isShort = body.isDone || expectsContinue || worker.isDraining
        linger = Linger(
            until: loop.now + (isShort ? Limits.lingerTailNanoseconds : Limits.lingerNanoseconds), left: Limits.lingerBytesMax)
        awaitMore()
        if canRead || inbound != nil { loop.wake(self, []) }
    }

    /// One read's worth, past what was kept.
    func readOn() {
        if inbound != nil {
            unsafe drop(UnsafeMutableRawBufferPointer(mutating: inbound.readable))
            inbound = nil
        }
        guard canRead, !isClosed else { return }
        switch unsafe receive(into: worker.rooms.inbox(limit: Limits.readSize)) {
        case .bytes(let count): unsafe drop(worker.rooms.inbox(limit: count))
        case .nothing: return
        case .end, .failed: return endLinger(.whole)
        }
        if canRead, !isClosed { loop.wake(self, []) }
    }

    private func drop(_ region: UnsafeMutableRawBufferPointer) {
        worker.metrics.lingeredBytes.add(UInt64(region.count))
        if expectsContinue {
            expectsContinue = false
            if !worker.isDraining { linger.until = loop.now + Limits.lingerNanoseconds }
        }
        linger.left -= region.count
        if linger.left <= 0 { return endLinger(.bytes) }
        if !body.isDone {
            let step = unsafe body.read(region)
            // Of what is no valid body nobody knows where it ends.
            if step.fault != nil { body.begin(.untilClose) }
            if body.isDone {
                if !canRead, step.consumed == region.count { return endLinger(.whole) }
                linger.until = min(linger.until, loop.now + Limits.lingerTailNanoseconds)
            }
        }
        awaitMore()
    }

    /// Of what was not understood nobody knows whether more of it is to come.
    private func awaitMore() {
        let gap = body.isUntilClose ? Limits.lingerTailNanoseconds : worker.limits.bodyTimeout
        loop.schedule(self, at: min(linger.until, loop.now + gap))
    }

    /// The process ends.
    func hastenLinger() {
        if whenSent == .closes, isCongested { return }
        linger.until = min(linger.until, loop.now + Limits.lingerTailNanoseconds)
        awaitMore()
    }

    func lingerTimedOut() { endLinger(expectsContinue ? .whole : .time) }

    func endLinger(_ end: LingerEnd) {
        if hasEndedSending { worker.metrics.lingered(end) }
        shut()
    }
}
