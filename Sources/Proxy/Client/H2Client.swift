import Base
import Configuration
import Crypto
import HTTP
import Metrics
import Net
import Quotas
import Tenancy

/// A client's HTTP/2 connection (RFC 9113): frames in, streams of them, frames out. Each stream is a request of its own
/// (`H2ClientStream`), with its own exchange, deadline and turn.
///
///     open ──► leaving ──► closing ──► closed
///       └──────────────────┘
///
/// *open*: requests are taken. *leaving*: the client was told to take its next ones elsewhere; what is under way goes on.
/// *closing*: the last frame is on its way; what still comes is dropped, so that no reset destroys it.
///
/// What its streams have to say collects in `connection` and leaves in this connection's own turn: the answers of one
/// round of the loop go out in one piece.
final class H2Client: H2Transport {
    enum Phase { case open, leaving, closing }

    let metrics: ListenerMetrics
    let origin: ClientOrigin
    /// Those that are not over, by their numbers.
    private(set) var streams: [UInt32: H2ClientStream] = [:]
    /// Those that have something to send, or would have, and no room.
    var waiting: [H2ClientStream] = []
    private var served: [H2ClientStream] = []
    /// A part of a frame, or frames that have not had their turn.
    var inbound: Buffer?
    /// `inbound` holds frames that were not looked at yet.
    var hasNewInbound = false
    /// The client sends no more.
    var hasEnded = false
    /// Of a body, in the inbox: it goes on in one piece with what follows.
    var part = PartInHand()
    var phase = Phase.open
    /// Of `leaving`: requests that were on their way when the client was told are in.
    var hasSaidLast = false
    /// The name that it asked for in its TLS handshake is a tenant's.
    private let isSomebodys: Bool
    private var clock = Clock.none
    /// Something has come since that was last looked at, or a PING was sent because nothing had.
    var wasHeard = false
    private var wasPinged = false
    /// It has its turn to send.
    private var isToSend = false
    /// Requests of it are refused by limits: no more are read for a while.
    var hold = Hold()

    /// What its deadline is for.
    private enum Clock {
        case none
        /// No request was made yet.
        case start
        case idle
        /// A frame, or a block of fields, is whole only in part.
        case middle
        /// The client takes nothing.
        case congested
        case held
        /// It was told to leave, and has not said that it heard it.
        case leaving
        /// Requests are under way, and it is to be known that the client is there.
        case watch
    }

    /// Takes over the connection of one that has found out what is spoken on it.
    init(_ first: H1Client, fd: Int32) {
        (metrics, origin) = (first.metrics, first.origin)
        isSomebodys = first.flow is TenantState
        super.init(worker: first.worker, fd: fd, flow: first.flow, H2Connection(H2Connection.Limits(first.worker.limits)))
        takeOver(first)
    }

    // MARK: Events

    override func ready(_ events: Readiness) {
        note(events)
        if isBroken { return shut() }
        if isCongested, !flush() { return isBroken ? shut() : () }
        if phase == .closing { return goOnClosing() }
        if canRead || hasNewInbound { readFrames() }
        if !isClosed { sendFrames() }
    }

    override func expired() {
        switch clock {
        case .none: break
        case .held:
            hold.end()
            setDeadline()
            loop.wake(self, [])
        case .congested:
            if isCongested, takesWhatItIsSent() { return loop.schedule(self, at: loop.now + worker.limits.bodyTimeout) }
            shut(abort: true)
        case .start, .idle:
            if phase == .closing { return shut() }
            leave(.noError)
        case .middle: end(H2Fault.late)
        case .leaving: saidLast(.noError)
        case .watch: watch()
        }
    }

    /// PING finds out whether a client that says nothing is there (RFC 9113 section 6.7).
    private func watch() {
        if wasHeard {
            (wasHeard, wasPinged) = (false, false)
        } else if wasPinged {
            return shut()
        } else {
            wasPinged = true
            connection.ping()
            wantsToSend()
        }
        loop.schedule(self, at: loop.now + Limits.pingNanoseconds)
    }

    /// Its streams end with it.
    override func shut(abort: Bool = false) {
        if isClosed { return }
        metrics.closed(active: !streams.isEmpty)
        let last = streams
        (streams, waiting) = ([:], [])
        inbound = nil
        part = PartInHand()
        super.shut(abort: abort)
        for stream in last.values { stream.connectionEnded() }
        tls = nil
        origin.forget()
        worker.forgetClient(origin)
    }

    /// By what it is there for. A frame that has begun, and a client that takes nothing, keep the time they have.
    func setDeadline(afterProgress: Bool = false) {
        if isClosed || phase == .closing { return }
        let wanted: Clock =
            if isCongested {
                .congested
            } else if isHeld {
                .held
            } else if phase == .leaving, !hasSaidLast {
                .leaving
            } else if connection.isInBlock || (inbound != nil && !hasNewInbound) {
                .middle
            } else if !streams.isEmpty {
                .watch
            } else {
                clock == .start && connection.newestStream == 0 ? .start : .idle
            }
        if wanted == clock, !(afterProgress && (wanted == .idle || (wanted == .middle && !connection.isInBlock))) { return }
        clock = wanted
        let limits = worker.limits
        switch wanted {
        case .none: loop.schedule(self, at: .max)
        case .start, .middle: loop.schedule(self, at: loop.now + limits.headerTimeout)
        case .idle: loop.schedule(self, at: loop.now + limits.idleTimeout)
        case .congested: loop.schedule(self, at: loop.now + limits.bodyTimeout)
        case .held: loop.schedule(self, at: hold.until)
        case .leaving: loop.schedule(self, at: loop.now + Limits.lingerTailNanoseconds)
        case .watch: loop.schedule(self, at: loop.now + Limits.pingNanoseconds)
        }
    }

    /// Starts its clock, and reads what has come with the handshake or behind the words that told what is spoken.
    func start(with early: consuming Buffer?) {
        clock = .start
        loop.schedule(self, at: loop.now + worker.limits.headerTimeout)
        if early != nil {
            inbound = early
            hasNewInbound = true
        }
        canRead = true
        loop.wake(self, [])
    }

    /// Requests that are let in are never held up by others that are not.
    var isHeld: Bool { hold.until > loop.now && streams.isEmpty }

    // MARK: Streams

    func add(_ stream: H2ClientStream) {
        if streams.isEmpty { metrics.requestBegan() }
        streams[stream.id] = stream
    }

    /// It is over, and its place free.
    func remove(_ stream: H2ClientStream) {
        guard !isClosed, streams.removeValue(forKey: stream.id) != nil else { return }
        if stream.isWaiting { waiting.removeAll { $0 === stream } }
        stream.isWaiting = false
        if streams.isEmpty { metrics.requestEnded() }
        wantsToSend()
    }

    /// A stream's request is this tenant's.
    func attribute(to flow: Flow) {
        if !isSomebodys { self.flow = flow }
    }

    /// A request of it has ended, let in or not.
    func ended(_ verdict: Verdict, passed: Bool) {
        if passed { return hold.admitted() }
        if !verdict.isAdmitted { hold.refused(verdict, now: loop.now) }
    }

    // MARK: The end

    var idleUntil: UInt64? { phase == .open && streams.isEmpty && connection.newestStream > 0 && !isHeld ? deadline : nil }

    /// No new requests on it. Those that are on their way already are served.
    func retire() {
        guard phase == .open else { return }
        phase = .leaving
        connection.goAway(.noError, isLast: false)
        // Once it comes back, the client has read the word before it.
        connection.ping()
        wantsToSend()
    }

    /// Its tenant is gone: of several that share it, the streams of the others go on.
    func revoke() { retire() }

    func keysFetched() {
        for stream in streams.values { stream.keysFetched() }
    }

    func saidLast(_ code: H2Code) {
        if hasSaidLast { return }
        hasSaidLast = true
        phase = .leaving
        connection.goAway(code, isLast: true)
        wantsToSend()
    }

    /// Nothing is under way, and nothing will be.
    func leave(_ code: H2Code) {
        saidLast(code)
        sendFrames()
    }

    /// What the client has sent is wrong: nothing more of it is read.
    func end(_ fault: H2Fault) {
        if phase == .closing || isClosed { return }
        if let abuse = fault.abuse { worker.metrics.abused(H2AbuseKind(abuse)) }
        worker.note(.h2(fault.reason), of: origin)
        hasSaidLast = true
        connection.goAway(fault.code, isLast: true)
        endStreams()
        close()
    }

    private func endStreams() {
        let last = streams
        (streams, waiting) = ([:], [])
        if !last.isEmpty { metrics.requestEnded() }
        for stream in last.values { stream.connectionEnded() }
    }

    /// Closes once everything is sent.
    func close() {
        if isClosed || phase == .closing { return }
        phase = .closing
        sendOutput()
        if isClosed { return }
        if let tls, !hasEndedSending {
            guard finishEncrypted(tls) else { return shut() }
        }
        clock = .congested
        loop.schedule(self, at: loop.now + worker.limits.bodyTimeout)
        goOnClosing()
    }

    private func goOnClosing() {
        if isCongested { return }
        if !hasEndedSending {
            endSending()
            clock = .idle
            loop.schedule(self, at: loop.now + Limits.lingerTailNanoseconds)
        }
        // One read a turn, as everywhere.
        if canRead {
            switch unsafe receive(into: worker.rooms.inbox(limit: Limits.readSize)) {
            case .bytes(let count): worker.metrics.lingeredBytes.add(UInt64(count))
            case .nothing: return
            case .end, .failed: return shut()
            }
            if canRead { loop.wake(self, []) }
        } else if peerFinished {
            shut()
        }
    }

    // MARK: Sending

    /// Something is to be sent in this connection's next turn.
    func wantsToSend() {
        if isToSend || isClosed { return }
        isToSend = true
        loop.wake(self, [])
    }

    /// Sends what has collected, and has those go on that had no room.
    func sendFrames() {
        isToSend = false
        if phase == .closing { return }
        sendOutput()
        if isBroken { return shut() }
        if streams.isEmpty {
            if hasSaidLast { return close() }
            connection.rest()
        }
        setDeadline()
        if !isCongested, !waiting.isEmpty { serveWaiting() }
    }

    /// In the order of their urgency (RFC 9218 section 10): what each takes, the next ones don't have.
    private func serveWaiting() {
        swap(&waiting, &served)
        if served.count > 1 { served.sort { $0.goesBefore($1) } }
        for stream in served where stream.isWaiting {
            stream.isWaiting = false
            stream.hasRoom()
            // Who sends no more opens no window.
            if hasEnded, stream.isWaiting, connection.room(of: stream.id) == 0 { stream.giveUp() }
        }
        served.removeAll(keepingCapacity: true)
        if !connection.output.isEmpty { wantsToSend() }
    }
}

extension H2Connection.Limits {
    init(_ limits: LimitSettings) {
        self.init()
        streams = limits.maxStreams
        // What is kept for one client, and what one of its streams may have of that.
        (connectionWindow, windowMax) = (2 << 20, 512 << 10)
        listSize = limits.maxHeaderSize
        resets = AbuseBudget.Bound(limits.maxResets, in: limits.maxResetsTime)
    }
}

extension H2AbuseKind {
    init(_ abuse: H2Abuse) {
        self =
            switch abuse {
            case .resets: .resets
            case .headers: .headers
            case .control: .control
            case .priority: .priority
            case .emptyData: .emptyData
            case .windowUpdates: .windowUpdates
            }
    }
}
