import Base
import Crypto
import HTTP
import Net
import Tenancy

/// The handshake of TLS, until the first request.
extension H1Client {
    func shakeHands() {
        guard let tls else { return }
        if isNamed {
            isNamed = false
            guard goOn(tls, tls.resumeHandshake()) else { return }
        }
        guard canRead else { return }
        let count = recvCipher(atMost: Limits.handshakeReadSize)
        guard count > 0 else { return }
        // So many bytes were read into it just now.
        if !isHeard, !mayBeTLS(unsafe worker.rooms.cipher.load(as: UInt8.self)) {
            return unsafe refusePlain(UnsafeRawBufferPointer(start: worker.rooms.cipher, count: count))
        }
        isHeard = true
        unsafe tls.receive(UnsafeRawBufferPointer(start: worker.rooms.cipher, count: count))
        guard goOn(tls, tls.handshake()) else { return }
        if canRead { loop.wake(self, []) }
    }

    /// The connection was reset. An alert that says why may have come before that.
    func brokenHandshake() {
        if isHeard, !isNamed { shakeHands() }
        endHandshake()
    }

    /// The client has gone in the middle of it.
    func endHandshake() {
        if isClosed || phase != .handshake { return }
        worker.metrics.handshake(.none, resumed: false, .failure)
        // Whoever only looks whether somebody listens says nothing.
        if isHeard { worker.note(.handshakeEnd, of: origin) }
        shut()
    }

    /// Whether the first byte is a record's type (RFC 8446 section 5.1), or the length of SSL 2, which OpenSSL knows.
    private func mayBeTLS(_ first: UInt8) -> Bool { (0x14...0x17).contains(first) || first >= 0x80 }

    /// Who speaks HTTP without TLS is told so in the same language. Others would not understand it.
    private func refusePlain(_ first: UnsafeRawBufferPointer) {
        worker.metrics.handshake(.none, resumed: false, .failure)
        guard unsafe FirstBytes.areRequest(first) else {
            worker.note(.notTLS, of: origin)
            return shut()
        }
        tls = nil
        refuse(.badRequest, "plain HTTP on a TLS port: use https://")
    }

    /// Whether the handshake waits for more from the client.
    private func goOn(_ tls: TLSSession, _ step: TLSSession.Handshake) -> Bool {
        switch step {
        case .wantsMore:
            if flushEncrypted() { return true }
            shut()
        case .named:
            // The costly part of a handshake takes the turn of the tenant whose name the client asked for.
            guard let tenant = worker.snapshot.directory.tenant(host: tls.serverName) else {
                return goOn(tls, tls.resumeHandshake())
            }
            flow = worker.state(of: tenant, in: worker.view).counted
            isNamed = true
            loop.wake(self, [])
        case .failed:
            flushEncrypted()
            worker.metrics.handshake(.none, resumed: false, .failure)
            worker.note(.handshake(tls.failure), of: origin)
            shut()
        case .done: handshakeDone(tls)
        }
        return false
    }

    /// What came behind the handshake goes along.
    private func becomeH2(_ tls: TLSSession) {
        let room = unsafe worker.rooms.frames
        var early: Buffer?
        switch unsafe tls.read(into: room) {
        case .bytes(let count):
            early = Buffer(capacity: count, from: loop.buffers)
            unsafe early!.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count]))
        case .wantsMore: break
        case .closed, .failed: return shut()
        }
        // The handshake's last words leave with the first frames; in TLS 1.2 they must not wait for them (RFC 7918).
        if tls.isVersion13 { holdEncrypted() } else { flushEncrypted() }
        worker.becomeH2(self, early: early)
    }

    private func handshakeDone(_ tls: TLSSession) {
        worker.metrics.handshake(tls.isVersion13 ? .v1_3 : .v1_2, resumed: tls.isResumed, .success)
        origin.secured(by: tls)
        if tls.speaksH2 { return becomeH2(tls) }
        phase = .head
        loop.schedule(self, at: loop.now + worker.limits.headerTimeout)
        // The first request often comes in the same segment as the end of the handshake; the ticket then leaves with its
        // answer instead of alone. In TLS 1.2 it may be our end of the handshake (RFC 7918), which must not wait.
        let room = unsafe worker.rooms.inbox(limit: Limits.headReadSize)
        switch unsafe tls.read(into: room) {
        case .bytes(let count):
            unsafe received(UnsafeMutableRawBufferPointer(start: room.baseAddress, count: count))
            if isClosed { return }
            if tls.hasEnded { canRead = true }
            if phase == .exchange, tls.isVersion13 { holdEncrypted() } else { flushEncrypted() }
            if canRead { loop.wake(self, []) }
        case .wantsMore:
            guard flushEncrypted() else { return shut() }
            if canRead { readHead() }
        case .closed, .failed: shut()
        }
    }
}
