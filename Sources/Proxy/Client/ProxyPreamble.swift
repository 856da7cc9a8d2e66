import Base
import Glibc
import Metrics
import Net

/// A connection of a listener with `proxy_protocol`, until its PROXY header is read. From there on it is a client's like any
/// other, with the address that the header tells: what follows the header stays in the kernel for it.
///
///     looking ──(whole header)──► skipping ──► the client's
///        └───────────────────────────┴───────► closed
///
/// Only `trusted_proxies` may say who others are: a connection of anybody else is closed, whatever it begins with.
final class ProxyPreamble: Source, ClientConnection {
    private let worker: Worker
    private let peer: SocketAddress
    private let listener: Listener
    /// What the header says, once that is known, and how many bytes of it are still to be taken.
    private var header: ProxyHeader?
    private var left = 0
    /// Something has come.
    private var isHeard = false
    /// Nothing more comes.
    private var hasEnded = false

    init(worker: Worker, fd: Int32, peer: SocketAddress, listener: Listener) {
        (self.worker, self.peer, self.listener) = (worker, peer, listener)
        super.init(loop: worker.loop, fd: fd, flow: worker.flow(forStranger: peer))
    }

    /// It is nobody's yet.
    var idleUntil: UInt64? { nil }

    /// Starts its clock.
    func start() {
        listener.metrics.opened()
        guard worker.snapshot.trusts(peer) else { return refuse("it comes from an address that is not in trusted_proxies") }
        loop.schedule(self, at: loop.now + worker.limits.headerTimeout)
    }

    override func expired() {
        // Whoever only looks whether somebody listens says nothing.
        if isHeard { refuse("it was not whole in time") } else { close() }
    }

    override func ready(_ events: Readiness) {
        if !events.isDisjoint(with: [.peerFinished, .hungUp, .failed]) { hasEnded = true }
        if header == nil { look() }
        if header != nil, !isClosed { skip() }
    }

    /// Looks at the first bytes without taking them.
    private func look() {
        // The kernel writes no more than the room has, and what is there is copied.
        let (count, bytes) = unsafe withUnsafeTemporaryAllocation(byteCount: ProxyHeader.lookMax, alignment: 1) { room in
            let count = unsafe recv(fd, room.baseAddress, room.count, Int32(MSG_PEEK))
            return unsafe (count, count > 0 ? Array(room[..<count]) : [])
        }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return isHeard ? refuse("the connection was closed in the middle of it") : close() }
        isHeard = true
        switch ProxyHeader.parse(bytes) {
        case .incomplete:
            if hasEnded { refuse("the connection was closed in the middle of it") }
        case .malformed: refuse("the connection does not begin with one")
        case .complete(let header, let length): (self.header, left) = (header, length)
        }
    }

    /// Takes the header, and what stands in it beside the addresses, a piece a turn.
    private func skip() {
        let count = unsafe recv(fd, worker.rooms.cipher, min(left, Limits.headReadSize), 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return refuse("the connection was closed in the middle of it") }
        left -= count
        if left > 0 { return loop.wake(self, []) }
        let (worker, listener, ends) = (worker, listener, header?.ends)
        listener.metrics.closed(active: false)
        worker.serve(loop.detach(self), ends?.source ?? peer, listener, told: ends?.destination)
    }

    private func refuse(_ why: StaticString) {
        if isClosed { return }
        worker.metrics.proxyHeadersRefused.add()
        worker.note(.proxyHeader(why), of: peer, on: listener.state.label)
        close()
    }

    private func close() {
        if isClosed { return }
        listener.metrics.closed(active: false)
        loop.close(self)
        worker.forgetClient()
    }

    // MARK: As a client's connection

    func retire() { if !isHeard { close() } }
    func retireWhenAnswered() {}
    func revoke() {}
    func shut(abort: Bool) { close() }
    func forEachExchange(_ body: (Exchange) -> Void) {}
    func keysFetched() {}
}
