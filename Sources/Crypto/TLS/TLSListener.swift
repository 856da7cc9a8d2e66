import Base
import COpenSSL

/// What one TLS listener offers: protocol versions, ALPN, and the certificates of each name (exact, then wildcard, then the
/// first). Immutable; a reload makes a new one, and open connections keep theirs.
public final class TLSListener: @unchecked Sendable {
    let context: Owned
    private let exact: [String: CertificateSet]
    /// By what follows the `*.`.
    private let wildcard: [String: CertificateSet]
    /// For who names no host that we have.
    let fallback: CertificateSet
    private let certificates: [Certificate]
    /// ALPN wire format, in the server's order of preference.
    let protocols: [UInt8]
    /// Nil: clients are not asked for certificates.
    let clientAuthorities: ClientAuthorities?

    /// - Parameters:
    ///   - certificates: at least one; the first is the default.
    ///   - now: seconds since 1970. Of a name's certificates those that are valid then are presented, where there are any.
    public init(
        certificates: [Certificate], protocols: [String], minVersion: Int32, clientAuthorities: ClientAuthorities? = nil,
        now: Int = Int(Clock.wall() / 1_000_000_000)
    ) throws(OpenSSLError) {
        guard let context = unsafe Owned(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) else { throw OpenSSLError("SSL_CTX_new") }
        self.certificates = certificates
        self.clientAuthorities = clientAuthorities
        // Whoever offers only its older version gets that; it is served alike.
        let protocols = protocols.contains("http/1.1") ? protocols + ["http/1.0"] : protocols
        self.protocols = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        (exact, wildcard, fallback) = try CertificateNames(certificates, at: now).sets()

        _ = unsafe c_ssl_ctx_set_min_proto_version(context.pointer, minVersion)
        unsafe SSL_CTX_set_options(
            context.pointer,
            COPENSSL_OP_NO_RENEGOTIATION | COPENSSL_OP_NO_COMPRESSION | COPENSSL_OP_CIPHER_SERVER_PREFERENCE
                | COPENSSL_OP_PRIORITIZE_CHACHA | COPENSSL_OP_NO_ANTI_REPLAY)
        let mode = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
        _ = unsafe c_ssl_ctx_set_mode(context.pointer, Int(mode))
        // Tickets carry the sessions, so nothing is stored here. One is enough for a client that keeps its connections.
        _ = unsafe c_ssl_ctx_set_session_cache_mode(context.pointer, Int(SSL_SESS_CACHE_OFF))
        unsafe SSL_CTX_set_timeout(context.pointer, Int(TicketKeys.lifetime / 1_000_000_000) * TicketKeys.kept)
        unsafe SSL_CTX_set_num_tickets(context.pointer, 1)
        let id = Array("gateway".utf8)
        unsafe SSL_CTX_set_session_id_context(context.pointer, id, UInt32(id.count))
        // OpenSSL's callbacks capture nothing: what they get is there for as long as they run.
        unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(context.pointer) { ssl, name, iv, cipher, mac, encrypting in
            guard let name = unsafe name, let iv = unsafe iv, let cipher = unsafe cipher, let mac = unsafe mac else { return -1 }
            return unsafe TicketKeys.shared.prepare(name: name, iv: iv, cipher: cipher, mac: mac, encrypting: encrypting == 1,
                singleUse: SSL_version(ssl) >= TLS1_3_VERSION)
        }
        unsafe SSL_CTX_set_client_hello_cb(context.pointer, { ssl, alert, _ in
            switch unsafe TLSSession.of(ssl, { $0.choose() }) {
            case .made: return SSL_CLIENT_HELLO_SUCCESS
            case .pause: return SSL_CLIENT_HELLO_RETRY
            case .malformed:
                unsafe alert?.pointee = Int32(SSL_AD_DECODE_ERROR)
                return SSL_CLIENT_HELLO_ERROR
            case nil: return SSL_CLIENT_HELLO_ERROR
            }
        }, nil)
        Self.rememberChains(context)
        Self.prepare(context)
        // OpenSSL looks for one before the ClientHello has chosen.
        guard certificates[0].use(in: context) else { throw OpenSSLError("certificate") }
        self.context = context
    }

    /// What OpenSSL takes from the context of the chosen certificate, once that has replaced the listener's.
    static func prepare(_ context: borrowing Owned) {
        // Forward secrecy and authenticated encryption only (RFC 9325 section 4.2).
        let set =
            unsafe SSL_CTX_set_cipher_list(context.pointer, "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK") == 1
            && c_ssl_ctx_set1_groups_list(context.pointer, "X25519:P-256:P-384") == 1
        precondition(set, "OpenSSL lacks the ciphers")
        unsafe SSL_CTX_set_info_callback(context.pointer) { ssl, _, _ in unsafe TLSSession.of(ssl) { $0.noteStep() } }
        unsafe SSL_CTX_set_alpn_select_cb(context.pointer, { ssl, out, outLength, offered, offeredLength, _ in
            guard let ours = unsafe TLSSession.of(ssl, { $0.listener?.protocols ?? [] }) else { return SSL_TLSEXT_ERR_NOACK }
            let theirs = unsafe Array(UnsafeBufferPointer(start: offered, count: Int(offeredLength)))
            // RFC 7301 section 3.2: nothing in common is fatal.
            guard let name = ProtocolNames.first(of: ours, in: theirs) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
            // OpenSSL takes the name from the client's list, which outlives this call.
            unsafe out?.pointee = offered.map { unsafe $0 + name.lowerBound }
            unsafe outLength?.pointee = UInt8(name.count)
            return SSL_TLSEXT_ERR_OK
        }, nil)
    }

    /// The certificates for a lower-case name: exact, else a wildcard of its parent (one label, RFC 9525 section 6.3).
    func certificates(for name: String) -> CertificateSet? {
        if let found = exact[name] { return found }
        guard !wildcard.isEmpty, let dot = name.firstIndex(of: ".") else { return nil }
        return wildcard[String(name[name.index(after: dot)...])]
    }

    /// Whether both present the very same certificates, read once: of files that have changed they are others.
    public func hasSameCertificates(as other: TLSListener?) -> Bool {
        other.map { $0.certificates.elementsEqual(certificates) { $0 === $1 } } ?? false
    }

    /// Of the authorities that vouch for clients; nil where those are not asked for certificates.
    public var authorities: Set<Digest256>? { clientAuthorities.map { Set($0.certificates.map(\.id)) } }

    /// Whether one of its certificates is for this host: a name in lower case, or a wildcard.
    public func covers(_ host: String) -> Bool { certificates(for: host) != nil }

    /// Whether who has asked for one of these names would have got the same certificates for the other.
    public func presentsSame(_ one: String, _ other: String) -> Bool {
        let (a, b) = (certificates(for: one) ?? fallback, certificates(for: other) ?? fallback)
        return a.certificates.elementsEqual(b.certificates) { $0 === $1 }
    }

    /// Whether there is a client that gets this certificate. It has none where others before it have its names and the type of
    /// its key.
    public func presents(_ certificate: Certificate) -> Bool { !sets(with: certificate).isEmpty }

    /// Whether there is a name for which a client that has no use for Ed25519 and Ed448 gets no certificate.
    public func leavesBrowsersOut(with certificate: Certificate) -> Bool {
        sets(with: certificate).contains { $0.certificates.allSatisfy(\.hasEdwardsKey) }
    }

    private func sets(with certificate: Certificate) -> [CertificateSet] {
        let named = certificate.names.compactMap { $0.hasPrefix("*.") ? wildcard[String($0.dropFirst(2))] : exact[$0] }
        return ([fallback] + named).filter { $0.certificates.contains { $0 === certificate } }
    }

    /// Whether it would still accept this certificate, which another listener of the same address has accepted.
    public func vouches(for certificate: ClientCertificate) -> Bool { clientAuthorities?.vouch(for: certificate) ?? false }
}
