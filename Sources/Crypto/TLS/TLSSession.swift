import Base
import COpenSSL

/// The bytes between OpenSSL and the sockets of one loop. A session works only inside one call, so all of them share
/// these: what was received goes in before the call, what is to be sent comes out after it. Many records leave in one send.
///
/// `output` is this object's, `outputCount` never beyond its end; `input` is read only inside the calls that whoever handed
/// it over keeps it for (`TLSSession.receive`).
@safe public final class TLSRoom {
    /// Received and not yet read by OpenSSL.
    var input: UnsafeRawPointer?
    var inputCount = 0
    /// To be sent.
    let output: UnsafeMutableRawPointer
    let capacity: Int
    var outputCount = 0
    /// Whose bytes stand in `output`.
    private var owner: ObjectIdentifier?
    let method: Owned

    public init() {
        // The largest read with its head, in records of 16 KiB with 22 bytes each, and a ticket.
        capacity = Limits.readSize + Limits.headSizeMax + Limits.headroom + (64 << 10)
        unsafe output = .allocate(byteCount: capacity, alignment: 64)
        guard let method = unsafe Owned(BIO_meth_new(BIO_get_new_index() | Int32(BIO_TYPE_SOURCE_SINK), "exchange"), BIO_meth_free)
        else { preconditionFailure("no memory") }
        Self.prepare(method)
        self.method = method
    }

    deinit { unsafe output.deallocate() }

    /// What one session produced never leaves through another one's socket, whatever else goes wrong.
    @inline(__always)
    func claim(_ session: TLSSession) {
        let id = ObjectIdentifier(session)
        if owner == id { return }
        assert(outputCount == 0, "another session's output was not sent")
        outputCount = 0
        inputCount = 0
        owner = id
    }

    /// The session is over; a later one may have its address.
    func release(_ session: TLSSession) {
        guard owner == ObjectIdentifier(session) else { return }
        (owner, outputCount, inputCount) = (nil, 0, 0)
    }

    public var produced: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: output, count: outputCount) }
    public func clearProduced() { outputCount = 0 }

    private static func prepare(_ method: borrowing Owned) {
        // OpenSSL hands over its own memory with its length. A session keeps its exchange, and so does each of these calls.
        unsafe BIO_meth_set_read(method.pointer) { bio, buffer, length in
            guard let bio = unsafe bio, let buffer = unsafe buffer, let data = unsafe BIO_get_data(bio) else { return -1 }
            return unsafe Unmanaged<TLSRoom>.fromOpaque(data)._withUnsafeGuaranteedRef { io in
                let count = min(Int(length), io.inputCount)
                if count <= 0 {
                    unsafe c_bio_set_retry_read(bio)
                    return -1
                }
                unsafe memcpy(buffer, io.input!, count)
                unsafe io.input! += count
                io.inputCount -= count
                return Int32(count)
            }
        }
        unsafe BIO_meth_set_write(method.pointer) { bio, bytes, length in
            guard let bio = unsafe bio, let bytes = unsafe bytes, let data = unsafe BIO_get_data(bio) else { return -1 }
            return unsafe Unmanaged<TLSRoom>.fromOpaque(data)._withUnsafeGuaranteedRef { io in
                let count = min(Int(length), io.capacity - io.outputCount)
                if count <= 0 {
                    unsafe c_bio_set_retry_write(bio)
                    return -1
                }
                unsafe memcpy(io.output + io.outputCount, bytes, count)
                io.outputCount += count
                return Int32(count)
            }
        }
        unsafe BIO_meth_set_ctrl(method.pointer) { _, command, _, _ in
            command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP ? 1 : 0
        }
        unsafe BIO_meth_set_create(method.pointer) { bio in
            unsafe BIO_set_init(bio, 1)
            return 1
        }
    }
}

/// One connection's TLS, from its first byte on: a client's, or ours to a server.
///
///     named ◄──► handshaking ──► open ──► closed
///                     └───────────┴────► failed
///
/// `ssl` is this object's from `init` to `deinit`. It points back to the session and to its exchange without counting them:
/// OpenSSL calls back only inside calls that are made here, and both live at least as long as it does.
@safe public final class TLSSession {
    public enum Handshake {
        case done, wantsMore, failed
        /// The client has said which name it wants, and nothing costly has been done yet. Goes on with the next call.
        case named
    }
    public enum Read: Equatable { case bytes(Int), wantsMore, closed, failed }

    /// Of a client's; nil where the peer is a server.
    let listener: TLSListener?
    /// Of a server's; nil where the peer is a client.
    private let upstream: UpstreamTLS?
    let sessions: KeptSessions?
    private let io: TLSRoom
    private let ssl: OpaquePointer
    /// The name that the client asked for in this handshake, lower case; empty when it named none. Taken from the
    /// ClientHello itself: OpenSSL reports that of the resumed session instead.
    public private(set) var serverName = ""
    private var wasNamed = false
    private var isOpen = false
    /// The client has said that it sends no more (close_notify), and all that it has sent was read.
    public private(set) var hasEnded = false
    /// Why the handshake, or a read, failed, as OpenSSL's error code; see `text(ofFailure:)`.
    public private(set) var failure: UInt = 0
    /// Why the server's certificate was refused; see `TLSClient.text(ofVerdict:)`.
    public private(set) var verdict: Int?
    /// Steps of TLS itself since the last piece of data, once the handshake is over.
    private var steps = 0

    public convenience init?(listener: TLSListener, io: TLSRoom) {
        self.init(listener.context, listener: listener, upstream: nil, sessions: nil, io: io)
        unsafe SSL_set_accept_state(ssl)
    }

    /// With a server, which is to prove that it is that host, unless `upstream` names another one.
    /// - Parameters:
    ///   - host: a name, or a numeric address without brackets.
    ///   - isAddress: it is the latter.
    ///   - sessions: those that the server has given before.
    public convenience init?(to upstream: UpstreamTLS, host: String, isAddress: Bool, sessions: KeptSessions, io: TLSRoom) {
        self.init(upstream.authorities.context, listener: nil, upstream: upstream, sessions: sessions, io: io)
        unsafe SSL_set_connect_state(ssl)
        guard unsafe TLSClient.expect(host, isAddress: isAddress, on: ssl), unsafe upstream.offer(on: ssl) else {
            // Others would take it for their own.
            ERR_clear_error()
            return nil
        }
        unsafe sessions.resume(on: ssl)
    }

    private init?(
        _ context: borrowing Owned, listener: TLSListener?, upstream: UpstreamTLS?, sessions: KeptSessions?, io: TLSRoom
    ) {
        guard let session = unsafe Owned(SSL_new(context.pointer), SSL_free),
            let made = unsafe Owned(BIO_new(io.method.pointer), BIO_free_all)
        else { return nil }
        (self.listener, self.upstream, self.sessions, self.io) = (listener, upstream, sessions, io)
        unsafe ssl = session.take()
        let bio = unsafe made.take()
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(io).toOpaque())
        // The connection owns it from here on.
        unsafe SSL_set_bio(ssl, bio, bio)
        unsafe c_ssl_set_app_data(ssl, Unmanaged.passUnretained(self).toOpaque())
    }

    /// First what points to the exchange, whose method its BIO needs to the last.
    deinit {
        // A session is good whether or not its connection ends in order; OpenSSL would give it up otherwise.
        if upstream != nil, failure == 0 { unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
        unsafe SSL_free(ssl)
        io.release(self)
    }

    /// The session that OpenSSL calls back for. Nil for a connection that is none's.
    static func of<Result>(_ ssl: OpaquePointer?, _ body: (TLSSession) -> Result) -> Result? {
        guard let ssl = unsafe ssl, let data = unsafe c_ssl_get_app_data(ssl) else { return nil }
        return unsafe Unmanaged<TLSSession>.fromOpaque(data)._withUnsafeGuaranteedRef(body)
    }

    /// Hands received bytes to OpenSSL. They must stay valid until the calls that read them have returned `wantsMore`.
    @inline(__always)
    public func receive(_ bytes: UnsafeRawBufferPointer) {
        io.claim(self)
        unsafe io.input = bytes.baseAddress
        io.inputCount = bytes.count
    }

    public func handshake() -> Handshake {
        let result = unsafe SSL_do_handshake(ssl)
        if result == 1 {
            (isOpen, steps) = (true, 0)
            return .done
        }
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .wantsMore
        case SSL_ERROR_WANT_CLIENT_HELLO_CB: return .named
        default:
            failure = ERR_peek_error()
            if upstream != nil { unsafe verdict = TLSClient.verdict(on: ssl) }
            ERR_clear_error()
            return .failed
        }
    }

    /// A failure of a handshake in OpenSSL's words.
    public static func text(ofFailure code: UInt) -> String {
        // A text of OpenSSL's own, there for good.
        guard let text = unsafe ERR_reason_error_string(code) else { return "no valid TLS" }
        return unsafe String(cString: text)
    }

    /// The peer has refused our certificate, or the lack of one, by an alert (RFC 8446 section 6.2).
    public var wasRefused: Bool {
        // OpenSSL's number of an alert is a thousand more: bad_certificate to access_denied, and certificate_required.
        let alert = Int(c_err_get_reason(failure)) - 1000
        return (42...49).contains(alert) || alert == 116
    }

    /// Goes on after `named`, perhaps in another turn; or begins, where it is on us to do that.
    public func resumeHandshake() -> Handshake {
        io.claim(self)
        return handshake()
    }

    /// OpenSSL's state machine has made a step, or sent an alert. It goes on for as long as the peer gives it reason to;
    /// beyond the bound there is nothing more to read for it, and `read` fails.
    func noteStep() {
        guard isOpen else { return }
        steps += 1
        if isAbused { io.inputCount = 0 }
    }

    private var isAbused: Bool { steps > Limits.tlsStepsBetweenData }

    /// Decrypts into `room`. OpenSSL is told what is left of it.
    @inline(__always)
    public func read(into room: UnsafeMutableRawBufferPointer) -> Read {
        var total = 0
        while total < room.count {
            var count = 0
            let result = unsafe SSL_read_ex(ssl, room.baseAddress! + total, room.count - total, &count)
            if result == 1 {
                total += count
                steps = 0
                // Without a whole header of a next record there is nothing more to be had.
                if unsafe io.inputCount == 0 && SSL_has_pending(ssl) == 0 { return .bytes(total) }
                continue
            }
            if isAbused { return .failed }
            if unsafe total > 0 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ { return .bytes(total) }
            switch unsafe SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return .wantsMore
            case SSL_ERROR_ZERO_RETURN:
                hasEnded = true
                return total > 0 ? .bytes(total) : .closed
            default:
                failure = ERR_peek_error()
                ERR_clear_error()
                return .failed
            }
        }
        return .bytes(total)
    }

    /// Encrypts all of `bytes` into the loop's output. False when the session is broken.
    @inline(__always)
    public func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        io.claim(self)
        var sent = 0
        while sent < bytes.count {
            var count = 0
            guard unsafe SSL_write_ex(ssl, bytes.baseAddress! + sent, bytes.count - sent, &count) == 1 else {
                ERR_clear_error()
                return false
            }
            sent += count
        }
        return true
    }

    /// Puts back what this session had produced before, ahead of all that it has produced since.
    public func restore(_ bytes: UnsafeRawBufferPointer) {
        io.claim(self)
        guard let start = bytes.baseAddress else { return }
        precondition(bytes.count <= io.capacity - io.outputCount)
        unsafe memmove(io.output + bytes.count, io.output, io.outputCount)
        unsafe memcpy(io.output, start, bytes.count)
        io.outputCount += bytes.count
    }

    /// Puts a close_notify into the output: the peer can tell the end from a cut.
    public func finish() {
        io.claim(self)
        if unsafe SSL_shutdown(ssl) < 0 { ERR_clear_error() }
    }

    /// What the client presented in this handshake, or in the one whose session it resumes; nil when that was nothing.
    public var clientCertificate: ClientCertificate? {
        // The connection keeps what it shows.
        guard listener?.clientAuthorities != nil, unsafe SSL_get_verify_result(ssl) == Int(X509_V_OK),
            let certificate = unsafe SSL_get0_peer_certificate(ssl),
            let chain = unsafe isResumed ? ClientChain(of: SSL_get_session(ssl)) : ClientChain(verifiedBy: ssl)
        else { return nil }
        return unsafe ClientCertificate(certificate, chain)
    }

    /// What ALPN has chosen, in the handshake that is done.
    public var speaksH2: Bool { hasChosen("h2") }

    /// The server speaks what it was offered. Whoever says nothing of it speaks HTTP/1.1.
    public var speaksWhatIsOffered: Bool {
        guard let upstream else { return true }
        return upstream.offers.contains(where: hasChosen) || (hasChosen("") && upstream.offers.contains("http/1.1"))
    }

    private func hasChosen(_ protocol: String) -> Bool {
        var (name, count): (UnsafePointer<UInt8>?, UInt32) = (nil, 0)
        // The connection's own memory, for as long as it is there.
        unsafe SSL_get0_alpn_selected(ssl, &name, &count)
        return unsafe UnsafeRawBufferPointer(start: name, count: Int(count)).elementsEqual(`protocol`.utf8)
    }

    /// Something has come that was not read, or only a part of a record.
    public var hasPending: Bool { unsafe SSL_has_pending(ssl) == 1 }

    public var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }
    public var isVersion13: Bool { unsafe SSL_version(ssl) == TLS1_3_VERSION }

    /// `TLSv1.3`, for logs.
    public var version: StaticString { isVersion13 ? "TLSv1.3" : "TLSv1.2" }

    enum Choice { case made, malformed, pause }

    /// At the ClientHello: notes the server name, pauses once, and chooses the certificates.
    func choose() -> Choice {
        guard let listener else { return .malformed }
        var certificates = listener.fallback
        // The ClientHello's own bytes, which are there for as long as the callback runs.
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        if unsafe SSL_client_hello_get0_ext(ssl, UInt32(TLSEXT_TYPE_server_name), &bytes, &count) == 1 {
            // RFC 6066 section 3: a list (2 bytes of length) of type (1) and name (2 bytes of length).
            let list = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
            guard count >= 5, Int(list[0]) << 8 | Int(list[1]) == count - 2, list[2] == 0 else { return .malformed }
            let length = Int(list[3]) << 8 | Int(list[4])
            guard length > 0, length <= 255, length == count - 5 else { return .malformed }
            let name = list[5...]
            if name.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) { return .malformed }
            serverName = HostName.normal(String(decoding: name, as: UTF8.self))
            if let chosen = listener.certificates(for: serverName) { certificates = chosen }
            // What stands behind the ClientHello in the loop's room would not survive a pause.
            if !wasNamed, io.inputCount == 0 {
                wasNamed = true
                return .pause
            }
        }
        guard unsafe SSL_set_SSL_CTX(ssl, certificates.context.pointer) != nil else { return .malformed }
        // After the change of context, which takes most of these settings along.
        return unsafe listener.clientAuthorities?.apply(to: ssl) ?? true ? .made : .malformed
    }
}
