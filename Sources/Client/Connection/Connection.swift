import Base
import Crypto
import Glibc
import Net

/// Whoever uses a connection: HTTP, or any other protocol. Called on its loop's thread, in its turns; it may close the
/// connection in any of these calls.
public protocol ConnectionUser: AnyObject {
    /// It is there: connected, and by TLS where that was wanted.
    func connected(_ connection: Connection)
    /// Some bytes, good for this call only. They may be changed in place.
    func received(_ bytes: UnsafeMutableRawBufferPointer, by connection: Connection)
    /// All that was to be sent has gone to the kernel.
    func sent(by connection: Connection)
    /// It is over, and closed; nothing more is called. Without a failure the peer has ended it in order.
    func ended(_ connection: Connection, _ failure: ClientFailure?)
}

/// Bytes to and from one server, plain or by TLS, on an event loop. One moment bounds whatever it is used for: the loop's
/// deadline of this source, which `schedule` moves. What a peer sends takes turns piece by piece.
///
///     connecting ──► shaking hands ──► open ──► closed
///          └──────────(plain)───────────┘
public final class Connection: Source {
    private enum Phase { case connecting, shakingHands, open }

    private var phase = Phase.connecting
    private let tls: TLSClient?
    /// Kept until the connection is closed. Whoever takes the connection over puts itself here.
    public var user: (any ConnectionUser)?
    /// To be encrypted (never filled without TLS), and to be sent.
    private var plain = Outgoing()
    private var wire = Outgoing()
    private var isSending = false
    private var isPaused = false
    /// Sending has failed: what the server has said before is read all the same.
    private var broken: ClientFailure?

    /// Begins to connect.
    init(
        to address: SocketAddress, tls: TLSClient?, preamble: [UInt8] = [], isForClients: Bool = false, user: any ConnectionUser,
        loop: EventLoop, flow: Flow
    ) throws(SystemError) {
        (self.tls, self.user) = (tls, user)
        wire.append(preamble)
        // The gateway's own errands are what descriptors are kept from clients for.
        super.init(loop: loop, fd: try Socket.connect(address, fromReserve: !isForClients), flow: flow)
    }

    // MARK: What a user may do

    /// Sends these after all that was handed over before, in turns to come.
    public func send(_ bytes: [UInt8]) {
        if isClosed || broken != nil || bytes.isEmpty { return }
        if tls == nil { wire.append(bytes) } else { plain.append(bytes) }
        isSending = true
        loop.wake(self, .writable)
    }

    /// Reads no more until `resume`: the peer is not asked for what nobody takes.
    public func pause() { isPaused = true }

    public func resume() {
        isPaused = false
        loop.wake(self, .readable)
    }

    /// The user is called no more.
    public func close() {
        user = nil
        loop.close(self)
    }

    // MARK: Turns

    public override func expired() { end(.late) }

    public override func ready(_ events: Readiness) {
        if phase == .connecting {
            let code = Socket.error(fd)
            if code != 0 { return end(ClientFailure(SystemError("connect", code))) }
            guard events.contains(.writable) else { return }
            if tls == nil { open() } else { phase = .shakingHands }
        }
        if isClosed { return }
        do throws(ClientFailure) {
            try advance()
            try flush()
            if !isClosed, !isPaused { try receive() }
        } catch { end(error) }
    }

    private func open() {
        phase = .open
        user?.connected(self)
    }

    private func end(_ failure: ClientFailure?) {
        guard !isClosed, let user else { return }
        close()
        user.ended(self, failure ?? broken)
    }

    // MARK: Reading

    /// One piece; the next one has another turn.
    private func receive() throws(ClientFailure) {
        // The kernel writes no more than the room has, and nobody keeps it.
        let result = unsafe withUnsafeTemporaryAllocation(byteCount: Limits.clientReadSize, alignment: 16) { room in
            let count = unsafe recv(fd, room.baseAddress, room.count, 0)
            let code = count < 0 ? errno : 0
            let taken = unsafe count <= 0 ? nil : take(UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
            return (count: count, code: code, failure: taken)
        }
        if let failure = result.failure { throw failure }
        if result.count < 0 {
            if result.code == EAGAIN { return }
            if result.code != EINTR { throw broken ?? ClientFailure(SystemError("recv", result.code)) }
        } else if result.count == 0 {
            tls?.receiveEnd()
            try advance()
            // TLS that has no end of its own has failed by now.
            return end(nil)
        }
        if !isClosed, !isPaused { loop.wake(self, .readable) }
    }

    private func take(_ bytes: UnsafeMutableRawBufferPointer) -> ClientFailure? {
        guard let tls else {
            unsafe user?.received(bytes, by: self)
            return nil
        }
        do throws(OpenSSLError) { try unsafe tls.receive(UnsafeRawBufferPointer(bytes)) } catch { return .unsafe(error.description) }
        do throws(ClientFailure) {
            try advance()
            try flush()
            return nil
        } catch { return error }
    }

    /// Lets TLS do what it can with what it has.
    private func advance() throws(ClientFailure) {
        guard let tls else { return }
        do throws(OpenSSLError) {
            defer { wire.append(tls.takeOutput()) }
            if phase == .shakingHands, try tls.shakeHands() { open() }
            while phase == .open, !isClosed, !isPaused {
                switch try read(tls) {
                case .bytes: continue
                case .wantsMore: return
                case .end: return end(nil)
                }
            }
        } catch {
            // The server may hear why. It is of no more use than that.
            try? flush()
            throw .unsafe(error.description)
        }
    }

    private func read(_ tls: TLSClient) throws(OpenSSLError) -> TLSClient.Read {
        var failure: OpenSSLError?
        // As above, with OpenSSL in the kernel's place.
        let result = unsafe withUnsafeTemporaryAllocation(byteCount: Limits.clientReadSize, alignment: 16) { room in
            do throws(OpenSSLError) {
                let read = try unsafe tls.read(into: room)
                if case .bytes(let count) = read {
                    unsafe user?.received(UnsafeMutableRawBufferPointer(rebasing: room[..<count]), by: self)
                }
                return read
            } catch {
                failure = error
                return .end
            }
        }
        if let failure { throw failure }
        return result
    }

    // MARK: Sending

    private func flush() throws(ClientFailure) {
        var budget = Limits.clientSendSize
        while !isClosed, broken == nil {
            if wire.isEmpty, phase == .open, !plain.isEmpty { try encrypt() }
            if wire.isEmpty { break }
            if budget <= 0 { return loop.wake(self, .writable) }
            var (count, code) = (0, Int32(0))
            // Both here and below what is lent is taken before the call returns.
            unsafe wire.take(budget) { bytes in
                count = unsafe Glibc.send(fd, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
                code = count < 0 ? errno : 0
                return max(count, 0)
            }
            if code == EAGAIN { return }
            if code != 0, code != EINTR { broken = ClientFailure(SystemError("send", code)) }
            budget -= max(count, 0)
        }
        if isSending, !isClosed, broken == nil, phase == .open {
            isSending = false
            user?.sent(by: self)
        }
    }

    /// The next piece. A failed one is of no more use: it goes with the connection.
    private func encrypt() throws(ClientFailure) {
        guard let tls else { return }
        var failure: OpenSSLError?
        unsafe plain.take(Limits.clientReadSize) { piece in
            do throws(OpenSSLError) { try unsafe tls.write(piece) } catch { failure = error }
            return piece.count
        }
        if let failure { throw .unsafe(failure.description) }
        wire.append(tls.takeOutput())
    }
}
