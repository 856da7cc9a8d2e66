import Base
import Crypto
import HTTP
import Metrics
import Net
import Tenancy

/// A client's HTTP/1 connection: TLS if the listener has it, then one request after another.
///
///     handshake ──► head ◄──► exchange ──► tunnel
///         │          │ ▲         │           │
///         │       paused         │           │
///         └──────────┴──► linger ┴───────────┴──► closed
///
/// *head*: reads until a request head is whole. *exchange*: one request is under way; its body is read as the upstream
/// takes it. *linger*: the last answer is sent; what still comes is dropped, so that no reset destroys the answer.
///
/// A client that sends no more (FIN, close_notify) still takes what it has asked for. Who is gone is known by a reset.
final class H1Client: Transport {
    enum Phase { case handshake, head, paused, exchange, tunnel, linger }

    let metrics: ListenerMetrics
    let origin: ClientOrigin
    var phase: Phase
    var exchange: Exchange?
    /// Received and not yet used: a head in parts, or requests sent ahead.
    var inbound: Buffer?
    var scanned = 0
    /// `inbound` holds bytes past the last request that were not looked at yet.
    var hasNewInbound = false
    /// In the handshake: something has come.
    var isHeard = false
    /// In the handshake: waits for its tenant's turn.
    var isNamed = false
    var requests = 0
    /// What the next request has waited for already.
    var paused: Exchange.Pause?
    /// Requests of it are refused by limits: it is read again only after a while.
    var hold = Hold()

    // The request under way
    var body = BodyReader(of: .request)
    var isHTTP10 = false
    var expectsContinue = false
    /// The connection may go on after this request.
    var keepsOn = false
    /// The answer's body goes out in chunks.
    var chunks = false
    /// The client may be in the middle of something that nobody wants.
    var mayStillSend = false
    /// It had sent all before its last answer: that is answered with the end of TLS.
    private var endsInTurn = false
    /// Once all that is kept is sent.
    var whenSent = WhenSent.goesOn
    var linger = Linger()

    enum WhenSent {
        case goesOn
        /// The server's direction of a tunnel is over.
        case endsSending
        case closes
    }

    /// - Parameter told: what a proxy has said that it connected to.
    init(worker: Worker, fd: Int32, peer: SocketAddress, listener: Listener, told: SocketAddress? = nil) {
        metrics = listener.metrics
        origin = ClientOrigin(peer: peer, listener: listener.state, fd: fd, told: told)
        phase = .head
        (speaksH1, speaksH2) = (listener.state.speaksH1, listener.state.speaksH2)
        super.init(worker: worker, fd: fd, flow: worker.flow(forStranger: peer))
        if let context = listener.state.tls {
            tls = TLSSession(listener: context, io: worker.tls)
            phase = .handshake
        }
    }

    /// Without a TLS session where there must be one, nothing can be said on it.
    var canBegin: Bool { phase == .head || tls != nil }

    /// What its listener speaks. Without TLS it is known by the first words which of them it is.
    let (speaksH1, speaksH2): (Bool, Bool)

    /// Starts its clock.
    func start() {
        metrics.opened()
        loop.schedule(self, at: loop.now + (phase == .handshake ? Limits.handshakeNanoseconds : worker.limits.headerTimeout))
    }

    // MARK: Events

    override func ready(_ events: Readiness) {
        note(events)
        if isBroken { return broken() }
        if isCongested {
            guard flush() else { return isBroken ? shut() : () }
            switch whenSent {
            case .goesOn: break
            case .endsSending: endSending()
            case .closes: return finishSending()
            }
            if phase == .head, worker.isEnding { return close() }
            if phase == .head { loop.schedule(self, at: loop.now + worker.limits.idleTimeout) }
            exchange?.clientHasRoom()
        }
        switch phase {
        case .handshake: shakeHands()
        case .head: readHead()
        case .paused: break
        case .exchange, .tunnel: readBody()
        case .linger: readOn()
        }
    }

    private func broken() {
        switch phase {
        case .handshake: brokenHandshake()
        case .linger: endLinger(.whole)
        default: shut()
        }
    }

    override func expired() {
        if isCongested, phase != .tunnel, exchange?.phase != .waiting, takesWhatItIsSent() {
            return loop.schedule(self, at: loop.now + worker.limits.bodyTimeout)
        }
        switch phase {
        case .handshake:
            worker.metrics.handshake(.none, resumed: false, .timeout)
            if isHeard { worker.note(.handshakeTimeout, of: origin) }
            shut()
        case .head:
            if hold.until > 0 {
                hold.end()
                loop.schedule(self, at: loop.now + worker.limits.idleTimeout)
                return loop.wake(self, [])
            }
            // Between requests a quiet end is what everybody expects; a head begun deserves an answer.
            if inbound != nil, !isCongested { refuse(.timeout, "the request head did not arrive in time") } else { shut() }
        case .paused: resume()
        case .exchange: exchange?.clientTimedOut()
        case .tunnel: shut()
        case .linger: lingerTimedOut()
        }
    }

    /// Its request, if there is one, ends with it, in whatever phase.
    override func shut(abort: Bool = false) {
        if isClosed { return }
        let last = exchange
        metrics.closed(active: last != nil)
        exchange = nil
        inbound = nil
        super.shut(abort: abort)
        last?.clientGone()
        // An exchange that is kept for the next request may keep this one as well: nothing secret stays with it.
        tls = nil
        origin.forget()
        worker.forgetClient(origin)
    }

    // MARK: The end of an exchange

    /// The answer is sent (or kept for sending) and the exchange over.
    func exchangeDone() {
        guard let done = exchange else { return }
        exchange = nil
        metrics.requestEnded()
        let verdict = done.bill.verdict
        let passed = done.bill.admission != nil && verdict.isAdmitted
        worker.giveBack(done)
        if !body.isDone, phase != .tunnel { retireAfterAnswer(expectsMore: true) }
        guard keepsOn, !worker.isEnding, !peerFinished || inbound != nil || canRead else { return close() }
        if peerFinished { endsInTurn = true }
        phase = .head
        // The time of a client that does not take its answer is not idle time.
        if passed { hold.admitted() } else if !verdict.isAdmitted, !isCongested { hold.refused(verdict, now: loop.now) }
        if hold.until > 0 { return loop.schedule(self, at: hold.until) }
        loop.schedule(self, at: loop.now + (isCongested ? worker.limits.bodyTimeout : worker.limits.idleTimeout))
        if inbound != nil || canRead { loop.wake(self, []) }
    }

    /// Between requests the client has ended its side.
    func inputEnded() {
        if endsInTurn { close() } else { shut() }
    }

    /// Reads raw bytes. Zero or less: nothing more for now, or the connection is closed by now.
    func recvCipher(atMost limit: Int) -> Int {
        switch receiveRaw(atMost: limit) {
        case .bytes(let count): return count
        case .nothing: return 0
        case .end, .failed:
            if phase == .handshake { endHandshake() } else { shut() }
            return -1
        }
    }

    // MARK: Refusals before there is an exchange

    func refuse(_ problem: Refusal, _ detail: StaticString, status: UInt16? = nil) {
        let exchange = worker.takeExchange(for: .h1(self))
        self.exchange = exchange
        metrics.requestBegan()
        phase = .exchange
        (isHTTP10, expectsContinue) = (false, false)
        // Where this one ends is not known: all that follows is a part of it.
        body.begin(.untilClose)
        exchange.refuseUnparsed(problem, detail, status: status)
    }

    // MARK: Control

    var idleUntil: UInt64? { phase == .head && inbound == nil && !isCongested && hold.until == 0 ? deadline : nil }

    /// No other request after this one.
    /// - Parameter expectsMore: the client may be in the middle of sending something.
    func retireAfterAnswer(expectsMore: Bool = false) {
        keepsOn = false
        if expectsMore { mayStillSend = true }
    }

    /// Closes if no request is under way; otherwise after it.
    func retire() {
        switch phase {
        case .handshake, .paused: break
        case .linger: hastenLinger()
        case .head:
            if inbound == nil, !isCongested { close() }
        case .exchange: retireAfterAnswer()
        case .tunnel: break
        }
    }

    /// Its tenant is gone.
    func revoke() {
        switch phase {
        case .exchange: retireAfterAnswer()
        case .tunnel: shut()
        case .linger: hastenLinger()
        default: close()
        }
    }
}
