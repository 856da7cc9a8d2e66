import Base
import Crypto
import Glibc
import Net

/// A connection's bytes, with or without TLS: reads into the caller's room, sends at once and keeps what the kernel would
/// not take. Whoever produces must look at `isCongested` and stop; `drained()` says when to go on.
///
/// The kernel and OpenSSL write no more than the room that they are given has, and what is sent is sent or copied before the call
/// returns.
class Transport: Source {
    enum Received {
        case bytes(Int)
        /// Nothing now; a later event brings more.
        case nothing
        /// The peer has finished sending.
        case end
        case failed
    }

    final let worker: Worker
    final var tls: TLSSession?
    /// Produced by OpenSSL, and to leave with what is produced next.
    private final var held: Buffer?
    /// More leaves at once: its copy would cost more than a system call.
    private static let heldMax = 16 << 10
    /// Sent by us and not yet taken by the kernel (as it goes on the wire).
    private final var outbound: Buffer?
    /// Bytes that the peer had not acknowledged when `outbound` was begun, or last looked at.
    private final var queued: Int32 = 0
    /// An edge was seen, and no short read since.
    final var canRead = false
    /// The peer sends no more.
    final var peerFinished = false
    final var isBroken = false
    /// The peer was told that nothing more comes.
    private(set) final var hasEndedSending = false
    /// While a peer is slow to take what it is sent, less is read for it at a time: a slow peer costs little memory.
    final var isSlow = false
    /// Its last large read was all that was asked for, and mostly data: the next may be large again.
    private final var sendsMuch = false
    /// Servers are read while they take nothing: some answer before they read on.
    final var readsWhileCongested = false
    /// Reads since then at which TLS had to answer.
    private final var unsentReplies = 0
    private final var congestedSince: UInt64 = 0
    private static let slowness: UInt64 = 200_000_000
    /// One read for a slow peer.
    static let smallRead = 16 << 10

    init(worker: Worker, fd: Int32, flow: Flow) {
        self.worker = worker
        super.init(loop: worker.loop, fd: fd, flow: flow)
    }

    final var isCongested: Bool { outbound != nil }

    /// Notes what epoll said. Call first in `ready`.
    @inline(__always)
    final func note(_ events: Readiness) {
        if events.contains(.readable) { canRead = true }
        if !events.isDisjoint(with: [.peerFinished, .hungUp, .failed]) {
            peerFinished = true
            canRead = true
            // Where both sides have ended it hangs up too, and that breaks nothing off.
            if events.contains(.failed) || (events.contains(.hungUp) && !hasEndedSending) { isBroken = true }
        }
    }

    // MARK: Receiving

    /// Reads what has come, at most `room`, which is a part of the inbox. With TLS it may be up to a record more: the
    /// inbox has `Rooms.slack` bytes behind any room.
    @inline(__always)
    final func receive(into room: UnsafeMutableRawBufferPointer) -> Received {
        unsafe tls == nil ? receivePlain(into: room) : receiveEncrypted(into: room)
    }

    @inline(__always)
    private final func receivePlain(into room: UnsafeMutableRawBufferPointer) -> Received {
        let count = unsafe recv(fd, room.baseAddress!, room.count, 0)
        if count > 0 {
            // A short read has emptied the socket; only the end may still be waiting.
            if count < room.count, !peerFinished { canRead = false }
            return .bytes(count)
        }
        canRead = false
        if count == 0 { return .end }
        return errno == EAGAIN || errno == EINTR ? .nothing : .failed
    }

    /// Reads into the loop's room for ciphertext, past TLS.
    final func receiveRaw(atMost limit: Int) -> Received {
        let count = unsafe recv(fd, worker.rooms.cipher, limit, 0)
        if count > 0 {
            if count < limit, !peerFinished { canRead = false }
            return .bytes(count)
        }
        canRead = false
        if count == 0 { return .end }
        return errno == EAGAIN || errno == EINTR ? .nothing : .failed
    }

    /// One read's worth, whether or not data comes of it: what is left is for another turn. Of a client nothing is read while
    /// it takes nothing, for TLS itself may have to answer.
    private final func receiveEncrypted(into room: UnsafeMutableRawBufferPointer) -> Received {
        if isCongested, !readsWhileCongested { return .nothing }
        let tls = tls!
        if tls.hasEnded { return ended() }
        // Decrypting records of a byte each takes fifty times as long as decrypting full ones.
        let size = min(sendsMuch ? Rooms.cipherSize : Limits.headCipherSize, room.count)
        let count = unsafe recv(fd, worker.rooms.cipher, size, 0)
        if count <= 0 {
            canRead = false
            if count == 0 { return .end }
            return errno == EAGAIN || errno == EINTR ? .nothing : .failed
        }
        if count < size, !peerFinished { canRead = false }
        unsafe tls.receive(UnsafeRawBufferPointer(start: worker.rooms.cipher, count: count))
        // A record begun earlier may add to what this read brings: the inbox has room for one more behind `room`.
        let result = unsafe tls.read(into: UnsafeMutableRawBufferPointer(start: room.baseAddress, count: room.count + Rooms.slack))
        // Reading can produce alerts and key updates.
        if unsafe !worker.tls.produced.isEmpty {
            flushEncrypted()
            if isCongested { unsentReplies += 1 }
            if unsentReplies > Limits.tlsStepsBetweenData { return .failed }
        }
        switch result {
        case .bytes(let plain):
            sendsMuch = count == size && plain > count / 2
            // The end came with them, and no event tells of it again.
            if tls.hasEnded { canRead = true }
            return .bytes(plain)
        case .wantsMore:
            sendsMuch = false
            if canRead { loop.wake(self, []) }
            return .nothing
        case .closed: return ended()
        case .failed:
            canRead = false
            return .failed
        }
    }

    private final func ended() -> Received {
        (canRead, peerFinished) = (false, true)
        return .end
    }

    // MARK: Sending

    /// Sends what the kernel takes and keeps the rest. False when the connection is broken.
    /// - Parameter isFollowed: more will be sent within this turn, whatever comes: the end of TLS, say.
    @inline(__always)
    @discardableResult
    final func send(_ bytes: UnsafeRawBufferPointer, isFollowed: Bool = false) -> Bool {
        if let tls {
            if held != nil { takeHeld(tls) }
            guard unsafe tls.write(bytes) else {
                isBroken = true
                return false
            }
            return isFollowed ? holdEncrypted() : flushEncrypted()
        }
        return unsafe sendRaw(bytes)
    }

    /// Ends TLS: the peer can tell that from a cut.
    final func finishEncrypted(_ tls: TLSSession) -> Bool {
        if held != nil { takeHeld(tls) }
        tls.finish()
        return flushEncrypted()
    }

    private final func takeHeld(_ tls: TLSSession) {
        unsafe tls.restore(held.readable)
        held = nil
    }

    /// Goes on with what another one has begun on the same connection, which keeps nothing of it.
    final func takeOver(_ other: Transport) {
        tls = other.tls
        other.tls = nil
        held = other.held.take()
        outbound = other.outbound.take()
        (queued, congestedSince, peerFinished) = (other.queued, other.congestedSince, other.peerFinished)
    }

    /// Sends what OpenSSL has produced.
    @discardableResult
    final func flushEncrypted() -> Bool {
        let produced = unsafe worker.tls.produced
        if unsafe produced.isEmpty { return !isBroken }
        var sent = true
        if held != nil {
            sent = unsafe sendRaw(held.readable)
            held = nil
        }
        sent = unsafe sendRaw(produced) && sent
        worker.tls.clearProduced()
        return sent
    }

    /// Keeps what OpenSSL has produced until more of it comes. Only where that is certain.
    @discardableResult
    final func holdEncrypted() -> Bool {
        let produced = unsafe worker.tls.produced
        if unsafe produced.isEmpty { return !isBroken }
        guard outbound == nil, produced.count <= Self.heldMax else { return flushEncrypted() }
        if held == nil { held = Buffer(capacity: produced.count, from: loop.buffers) }
        unsafe held!.append(produced)
        worker.tls.clearProduced()
        return !isBroken
    }

    @inline(__always)
    private final func sendRaw(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if isBroken { return false }
        var rest = unsafe bytes
        if outbound == nil {
            let count = unsafe Glibc.send(fd, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count == bytes.count { return true }
            if count < 0 {
                guard errno == EAGAIN || errno == EINTR else {
                    isBroken = true
                    return false
                }
            } else {
                unsafe rest = UnsafeRawBufferPointer(rebasing: bytes[count...])
            }
        }
        unsafe keep(rest)
        return true
    }

    private final func keep(_ rest: UnsafeRawBufferPointer) {
        if outbound == nil {
            queued = Socket.unacknowledged(fd)
            congestedSince = loop.now
        }
        if outbound == nil { outbound = Buffer(capacity: rest.count, from: loop.buffers) }
        unsafe outbound!.append(rest)
    }

    /// Whether the peer has taken anything since it was last asked. The event that says so comes only when a third of the
    /// kernel's buffer is free, and that may be megabytes.
    final func takesWhatItIsSent() -> Bool {
        let before = queued
        queued = Socket.unacknowledged(fd)
        return queued < before
    }

    /// Sends what was kept. True when nothing is left.
    final func flush() -> Bool {
        guard outbound != nil else { return true }
        let readable = unsafe outbound.readable
        let count = unsafe Glibc.send(fd, readable.baseAddress, readable.count, Int32(MSG_NOSIGNAL))
        if count < 0 {
            if errno != EAGAIN && errno != EINTR { isBroken = true }
            return false
        }
        if count < readable.count {
            outbound!.consume(count)
            queued = Socket.unacknowledged(fd)
            return false
        }
        outbound = nil
        unsentReplies = 0
        isSlow = loop.now &- congestedSince > Self.slowness
        return true
    }

    /// Nothing more will be sent, and all that was sent is with the kernel: the peer sees an end there.
    final func endSending() {
        if hasEndedSending { return }
        hasEndedSending = true
        Socket.finishSending(fd)
    }

    /// Closes. An `abort` is a reset: the peer must not take what it has for complete.
    func shut(abort: Bool = false) {
        if isClosed { return }
        if abort { Socket.resetOnClose(fd) }
        outbound = nil
        held = nil
        loop.close(self)
    }
}
