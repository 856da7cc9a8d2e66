import Base
import Crypto
import Glibc
import HTTP
import Metrics
import Net

/// A connection to a server of whose terms more than connecting is asked: a PROXY header, a TLS handshake. It stands when all of
/// that is done, and is then taken over by the end that speaks what was agreed on.
///
///     connecting ──► shaking hands ──► taken over
///          └──────────────┴──► closed
///
/// A handshake takes its turns as the work of the tenant whose request wants the connection, one read each.
final class UpstreamOpening: Transport {
    private enum Phase { case connecting, shakingHands }

    let pool: ServerPool
    let address: ServerAddress
    /// As they were when it was begun: a reload may change the pool's meanwhile, and what is proved under these is nothing there.
    private let terms: ConnectionTerms
    private let sessions: KeptSessions
    private var phase = Phase.connecting
    /// Others wait for it, because many can share what is expected to come of it.
    private let isShared: Bool
    /// As those know it who wait for it; it lives as long as this is neither closed nor taken over.
    private var end: OpeningEnd?
    /// Of the client whose address was told to the server.
    private(set) var client: SocketAddress?

    private init(_ pool: ServerPool, fd: Int32, _ address: ServerAddress) {
        (self.pool, self.address, terms, sessions) = (pool, address, pool.terms, pool.sessions)
        isShared = pool.expectsShared
        super.init(worker: pool.worker, fd: fd, flow: pool.worker.loop.commonFlow)
        readsWhileCongested = true
    }

    static func dial(_ pool: ServerPool, _ address: ServerAddress) throws(SystemError) -> UpstreamEnd? {
        let loop = pool.worker.loop
        let opening = UpstreamOpening(pool, fd: try Socket.connect(address.address), address)
        guard loop.add(opening) else {
            loop.close(opening)
            return nil
        }
        if opening.isShared { pool.dials() }
        let end = OpeningEnd(opening)
        opening.end = end
        return .other(end)
    }

    private var exchange: Exchange? { end?.dial?.exchange }

    // MARK: Events

    override func ready(_ events: Readiness) {
        note(events)
        switch phase {
        case .connecting:
            if !events.isDisjoint(with: [.writable, .failed, .hungUp]) { connected() }
        case .shakingHands:
            if !isBroken, isCongested { _ = flush() }
            shakeHands()
        }
    }

    private func connected() {
        let error = Socket.error(fd)
        if error != 0 { return fail(.system(error)) }
        // Nobody wants it any more.
        guard let exchange else { return shut() }
        isBroken = false
        flow = exchange.client.flow
        if let version = terms.proxy { sayWho(exchange, version) }
        guard let upstream = terms.tls else { return done(speaksH2: terms.speaksH2) }
        let host = upstream.name ?? pool.server.host
        let isAddress = SocketAddress(host, port: 0) != nil
        tls = TLSSession(to: upstream, host: host, isAddress: isAddress, sessions: sessions, io: worker.tls)
        guard let tls else { return fail(.handshake(0)) }
        phase = .shakingHands
        go(on: tls, tls.resumeHandshake())
    }

    private func sayWho(_ exchange: Exchange, _ version: ProxyHeader.Version) {
        let ends = exchange.clientEnds
        client = ends.source
        let header = ProxyHeader(ends: ends).bytes(version)
        // It is sent, or copied, before the call returns.
        unsafe header.withUnsafeBytes { _ = unsafe send($0) }
    }

    private func shakeHands() {
        guard canRead, let tls else { return isBroken ? fail(.cut) : () }
        switch receiveRaw(atMost: Limits.handshakeReadSize) {
        case .bytes(let count):
            unsafe tls.receive(UnsafeRawBufferPointer(start: worker.rooms.cipher, count: count))
            go(on: tls, tls.handshake())
        case .nothing: return isBroken ? fail(.cut) : ()
        case .end, .failed: fail(.cut)
        }
    }

    private func go(on tls: TLSSession, _ step: TLSSession.Handshake) {
        switch step {
        case .wantsMore:
            guard flushEncrypted() else { return fail(.cut) }
            if canRead { loop.wake(self, []) }
        case .done: secured(tls)
        case .failed, .named:
            // The server is told why.
            flushEncrypted()
            fail(tls.verdict.map { .certificate($0) } ?? .handshake(tls.failure))
        }
    }

    private func secured(_ tls: TLSSession) {
        count(.success, tls)
        guard tls.speaksWhatIsOffered else {
            flushEncrypted()
            return fail(.protocols)
        }
        done(speaksH2: tls.speaksH2)
    }

    private func count(_ result: HandshakeResult, _ tls: TLSSession) {
        let version: HandshakeVersion = result != .success ? .none : tls.isVersion13 ? .v1_3 : .v1_2
        pool.tlsMetrics.handshake(version, resumed: result == .success && tls.isResumed, result)
    }

    // MARK: The end

    /// What came behind the handshake, in `worker.rooms.frames`: tickets at most, and of HTTP/2 the server's first frames.
    private func early() -> TLSSession.Read {
        guard let tls else { return .wantsMore }
        let read = unsafe tls.read(into: worker.rooms.frames)
        // Our last words of the handshake leave with the first of the request.
        holdEncrypted()
        return read
    }

    private func done(speaksH2: Bool) {
        var count = 0
        switch early() {
        case .wantsMore: break
        case .bytes(let number) where speaksH2: count = number
        case .bytes: return fail(.unasked)
        case .closed, .failed: return fail(.handshake(tls?.failure ?? 0))
        }
        // Nobody wants it any more.
        guard let end, let dial = end.dial else { return shut() }
        let fd = letGo()
        pool.speaks(h2: speaksH2, under: terms)
        if speaksH2 {
            H2Upstream(self, fd: fd).stand(for: dial, begunAs: end, early: count)
        } else {
            H1Upstream(self, fd: fd).stand(for: dial, begunAs: end)
        }
    }

    /// Nothing is left here but what is taken over.
    private func letGo() -> Int32 {
        dismiss()
        return loop.detach(self)
    }

    private func dismiss() {
        end?.dial = nil
        end = nil
        if isShared { pool.dialed() }
    }

    private func fail(_ failure: ConnectFailure) {
        if isClosed { return }
        let (end, dial) = (end, end?.dial)
        if let tls, phase == .shakingHands, failure != .protocols, failure != .unasked { count(.failure, tls) }
        shut()
        if let end { dial?.failed(.other(end), failure) }
    }

    /// The time for connecting is over. What it is that takes so long.
    fileprivate func timedOut() -> ConnectFailure {
        guard let tls, phase == .shakingHands else { return .system(ETIMEDOUT) }
        count(.timeout, tls)
        return .slow
    }

    override func shut(abort: Bool = false) {
        if isClosed { return }
        dismiss()
        pool.forget(nil)
        super.shut(abort: abort)
        tls = nil
    }
}

/// What `Dial` knows an opening by.
final class OpeningEnd: OtherUpstream {
    private let opening: UpstreamOpening

    init(_ opening: UpstreamOpening) {
        self.opening = opening
        super.init(pool: opening.pool)
    }

    override func timedOut() -> ConnectFailure { opening.timedOut() }
    override func cancel() { opening.shut() }
}

extension Transport {
    /// In TLS 1.3 a server that does not take our certificate, or wants one, says so behind a handshake that we took for done. It
    /// has read nothing of a request.
    func refusesCertificate(_ address: ServerAddress, of pool: ServerPool) -> Bool {
        guard let tls, tls.wasRefused else { return false }
        pool.failed(address, .refused, .handshake(tls.failure))
        return true
    }
}
