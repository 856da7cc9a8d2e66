import Base
import COpenSSL

/// The bytes between OpenSSL and the sockets of one loop. A session works only inside one call, so all of them share
/// these: what was received goes in before the call, what is to be sent comes out after it. Many records leave in one send.
public final class TLSExchange {
    /// Received and not yet read by OpenSSL.
    var input: UnsafeRawPointer?
    var inputCount = 0
    /// To be sent.
    let output: UnsafeMutableRawPointer
    let capacity: Int
    var outputCount = 0
    /// Whose bytes stand in `output`.
    private var owner: ObjectIdentifier?
    let method: OpaquePointer = makeMethod()

    public init() {
        // The largest read with its head, in records of 16 KiB with 22 bytes each, and a ticket.
        capacity = Limits.readSize + Limits.headSizeMax + Limits.headroom + (64 << 10)
        output = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit {
        output.deallocate()
        BIO_meth_free(method)
    }

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

    public var produced: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: output, count: outputCount) }
    public func clearProduced() { outputCount = 0 }

    private static func makeMethod() -> OpaquePointer {
        let made = Owned(BIO_meth_new(BIO_get_new_index() | Int32(BIO_TYPE_SOURCE_SINK), "exchange"), BIO_meth_free)
        guard let method = made?.take() else { preconditionFailure("no memory") }
        BIO_meth_set_read(method) { bio, buffer, length in
            guard let bio, let buffer, let data = BIO_get_data(bio) else { return -1 }
            return Unmanaged<TLSExchange>.fromOpaque(data)._withUnsafeGuaranteedRef { io in
                let count = min(Int(length), io.inputCount)
                if count <= 0 {
                    c_bio_set_retry_read(bio)
                    return -1
                }
                memcpy(buffer, io.input!, count)
                io.input! += count
                io.inputCount -= count
                return Int32(count)
            }
        }
        BIO_meth_set_write(method) { bio, bytes, length in
            guard let bio, let bytes, let data = BIO_get_data(bio) else { return -1 }
            return Unmanaged<TLSExchange>.fromOpaque(data)._withUnsafeGuaranteedRef { io in
                let count = min(Int(length), io.capacity - io.outputCount)
                if count <= 0 {
                    c_bio_set_retry_write(bio)
                    return -1
                }
                memcpy(io.output + io.outputCount, bytes, count)
                io.outputCount += count
                return Int32(count)
            }
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in
            command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP ? 1 : 0
        }
        BIO_meth_set_create(method) { bio in
            BIO_set_init(bio, 1)
            return 1
        }
        return method
    }
}

/// One client's TLS, from its first byte on.
///
///     named ◄──► handshaking ──► open ──► closed
///                     └───────────┴────► failed
public final class TLSSession {
    public enum Handshake {
        case done, wantsMore, failed
        /// The client has said which name it wants, and nothing costly has been done yet. Goes on with the next call.
        case named
    }
    public enum Read: Equatable { case bytes(Int), wantsMore, closed, failed }

    let listener: TLSListener
    private let io: TLSExchange
    private let ssl: OpaquePointer
    /// The name that the client asked for in this handshake, lower case; empty when it named none. Taken from the
    /// ClientHello itself: OpenSSL reports that of the resumed session instead.
    public private(set) var serverName = ""
    private var wasNamed = false
    private var isOpen = false
    /// Steps of TLS itself since the last piece of data, once the handshake is over.
    private var steps = 0

    public init?(listener: TLSListener, io: TLSExchange) {
        guard let session = Owned(SSL_new(listener.context), SSL_free), let made = Owned(BIO_new(io.method), BIO_free_all) else {
            return nil
        }
        (self.listener, self.io, ssl) = (listener, io, session.take())
        let bio = made.take()
        BIO_set_data(bio, Unmanaged.passUnretained(io).toOpaque())
        SSL_set_bio(ssl, bio, bio)
        c_ssl_set_app_data(ssl, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_accept_state(ssl)
    }

    deinit {
        SSL_free(ssl)
        io.release(self)
    }

    /// Hands received bytes to OpenSSL. They must stay valid until the calls that read them have returned `wantsMore`.
    @inline(__always)
    public func receive(_ bytes: UnsafeRawBufferPointer) {
        io.claim(self)
        io.input = bytes.baseAddress
        io.inputCount = bytes.count
    }

    public func handshake() -> Handshake {
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            (isOpen, steps) = (true, 0)
            return .done
        }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .wantsMore
        case SSL_ERROR_WANT_CLIENT_HELLO_CB: return .named
        default:
            ERR_clear_error()
            return .failed
        }
    }

    /// Goes on after `named`, perhaps in another turn.
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

    /// Decrypts into `room`.
    @inline(__always)
    public func read(into room: UnsafeMutableRawBufferPointer) -> Read {
        var total = 0
        while total < room.count {
            var count = 0
            let result = SSL_read_ex(ssl, room.baseAddress! + total, room.count - total, &count)
            if result == 1 {
                total += count
                steps = 0
                // Without a whole header of a next record there is nothing more to be had.
                if io.inputCount == 0 && SSL_has_pending(ssl) == 0 { return .bytes(total) }
                continue
            }
            if isAbused { return .failed }
            if total > 0 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ { return .bytes(total) }
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return .wantsMore
            case SSL_ERROR_ZERO_RETURN: return total > 0 ? .bytes(total) : .closed
            default:
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
            guard SSL_write_ex(ssl, bytes.baseAddress! + sent, bytes.count - sent, &count) == 1 else {
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
        memmove(io.output + bytes.count, io.output, io.outputCount)
        memcpy(io.output, start, bytes.count)
        io.outputCount += bytes.count
    }

    /// Puts a close_notify into the output: the peer can tell the end from a cut.
    public func finish() {
        io.claim(self)
        if SSL_shutdown(ssl) < 0 { ERR_clear_error() }
    }

    /// What the client presented in this handshake, or in the one whose session it resumes; nil when that was nothing.
    public var clientCertificate: ClientCertificate? {
        guard listener.clientAuthorities != nil, SSL_get_verify_result(ssl) == Int(X509_V_OK),
            let certificate = SSL_get0_peer_certificate(ssl),
            let chain = isResumed ? ClientChain(of: SSL_get_session(ssl)) : ClientChain(verifiedBy: ssl)
        else { return nil }
        return ClientCertificate(certificate, chain)
    }

    public var isResumed: Bool { SSL_session_reused(ssl) == 1 }
    public var isVersion13: Bool { SSL_version(ssl) == TLS1_3_VERSION }

    /// `TLSv1.3`, for logs.
    public var version: StaticString { isVersion13 ? "TLSv1.3" : "TLSv1.2" }

    enum Choice { case made, malformed, pause }

    /// At the ClientHello: notes the server name, pauses once, and chooses the certificate.
    func choose(from ssl: OpaquePointer) -> Choice {
        var certificate = listener.fallback
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        if SSL_client_hello_get0_ext(ssl, UInt32(TLSEXT_TYPE_server_name), &bytes, &count) == 1, let bytes {
            // RFC 6066 section 3: a list (2 bytes of length) of type (1) and name (2 bytes of length).
            guard count >= 5, Int(bytes[0]) << 8 | Int(bytes[1]) == count - 2, bytes[2] == 0 else { return .malformed }
            let length = Int(bytes[3]) << 8 | Int(bytes[4])
            guard length > 0, length <= 255, length == count - 5 else { return .malformed }
            let raw = UnsafeBufferPointer(start: bytes + 5, count: length)
            for byte in raw where byte <= 0x20 || byte >= 0x7F { return .malformed }
            serverName = String(decoding: raw.lazy.map(ASCII.lowercase), as: UTF8.self)
            if let chosen = listener.certificate(for: serverName) { certificate = chosen }
            // What stands behind the ClientHello in the loop's room would not survive a pause.
            if !wasNamed, io.inputCount == 0 {
                wasNamed = true
                return .pause
            }
        }
        guard SSL_set_SSL_CTX(ssl, certificate.context) != nil else { return .malformed }
        // After the change of context, which takes most of these settings along.
        return listener.clientAuthorities?.apply(to: ssl) ?? true ? .made : .malformed
    }
}
