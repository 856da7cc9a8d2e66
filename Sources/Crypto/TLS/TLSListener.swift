import Base
import COpenSSL

/// What one TLS listener offers: protocol versions, ALPN, and a certificate for each name (exact, then wildcard, then the
/// first). Immutable; a reload makes a new one, and open connections keep theirs.
public final class TLSListener: @unchecked Sendable {
    let context: OpaquePointer
    private let exact: [String: Certificate]
    private let wildcard: [String: Certificate]
    private let certificates: [Certificate]
    /// ALPN wire format, in the server's order of preference.
    let protocols: [UInt8]
    /// Nil: clients are not asked for certificates.
    let clientAuthorities: ClientAuthorities?

    /// - Parameter certificates: at least one; the first is the default.
    public init(
        certificates: [Certificate], protocols: [String], minVersion: Int32, clientAuthorities: ClientAuthorities? = nil
    ) throws(OpenSSLError) {
        guard let made = Owned(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) else { throw OpenSSLError("SSL_CTX_new") }
        context = made.take()
        self.certificates = certificates
        self.clientAuthorities = clientAuthorities
        // Whoever offers only its older version gets that; it is served alike.
        let protocols = protocols.contains("http/1.1") ? protocols + ["http/1.0"] : protocols
        self.protocols = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        var exact: [String: Certificate] = [:]
        var wildcard: [String: Certificate] = [:]
        for certificate in certificates {
            for name in certificate.names {
                // The first certificate that has a name keeps it.
                if name.hasPrefix("*.") {
                    let parent = String(name.dropFirst(2))
                    if wildcard[parent] == nil { wildcard[parent] = certificate }
                } else if exact[name] == nil {
                    exact[name] = certificate
                }
            }
        }
        (self.exact, self.wildcard) = (exact, wildcard)

        _ = c_ssl_ctx_set_min_proto_version(context, minVersion)
        SSL_CTX_set_options(
            context,
            COPENSSL_OP_NO_RENEGOTIATION | COPENSSL_OP_NO_COMPRESSION | COPENSSL_OP_CIPHER_SERVER_PREFERENCE
                | COPENSSL_OP_PRIORITIZE_CHACHA | COPENSSL_OP_NO_ANTI_REPLAY)
        _ = c_ssl_ctx_set_mode(context, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        // Tickets carry the sessions, so nothing is stored here. One is enough for a client that keeps its connections.
        _ = c_ssl_ctx_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_timeout(context, Int(TicketKeys.lifetime / 1_000_000_000) * TicketKeys.kept)
        SSL_CTX_set_num_tickets(context, 1)
        var id = Array("gateway".utf8)
        SSL_CTX_set_session_id_context(context, &id, UInt32(id.count))
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context) { ssl, name, iv, cipher, mac, encrypting in
            guard let name, let iv, let cipher, let mac else { return -1 }
            return TicketKeys.shared.prepare(name: name, iv: iv, cipher: cipher, mac: mac, encrypting: encrypting == 1,
                singleUse: SSL_version(ssl) >= TLS1_3_VERSION)
        }
        SSL_CTX_set_client_hello_cb(context, { ssl, alert, _ in
            guard let ssl, let data = c_ssl_get_app_data(ssl) else { return SSL_CLIENT_HELLO_ERROR }
            let session = Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
            switch session.choose(from: ssl) {
            case .made: return SSL_CLIENT_HELLO_SUCCESS
            case .pause: return SSL_CLIENT_HELLO_RETRY
            case .malformed:
                alert?.pointee = Int32(SSL_AD_DECODE_ERROR)
                return SSL_CLIENT_HELLO_ERROR
            }
        }, nil)
        Self.rememberChains(context)
        Self.prepare(context)
        guard let first = certificates.first,
            SSL_CTX_use_certificate(context, SSL_CTX_get0_certificate(first.context)) == 1,
            SSL_CTX_use_PrivateKey(context, SSL_CTX_get0_privatekey(first.context)) == 1
        else { throw OpenSSLError("certificate") }
    }

    deinit { SSL_CTX_free(context) }

    /// What OpenSSL takes from the context of the chosen certificate, once that has replaced the listener's.
    static func prepare(_ context: OpaquePointer) {
        // Forward secrecy and authenticated encryption only (RFC 9325 section 4.2).
        let set =
            SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK") == 1
            && c_ssl_ctx_set1_groups_list(context, "X25519:P-256:P-384") == 1
        precondition(set, "OpenSSL lacks the ciphers")
        SSL_CTX_set_info_callback(context) { ssl, _, _ in
            guard let ssl, let data = c_ssl_get_app_data_const(ssl) else { return }
            Unmanaged<TLSSession>.fromOpaque(data)._withUnsafeGuaranteedRef { $0.noteStep() }
        }
        SSL_CTX_set_alpn_select_cb(context, { ssl, out, outLength, offered, offeredLength, _ in
            guard let ssl, let data = c_ssl_get_app_data(ssl), let offered else { return SSL_TLSEXT_ERR_NOACK }
            let session = Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
            let ours = session.listener.protocols
            return ours.withUnsafeBufferPointer { ours in
                // The selected name points into `offered`, which outlives this call.
                var selected: UnsafeMutablePointer<UInt8>?
                let result = SSL_select_next_proto(&selected, outLength, ours.baseAddress, UInt32(ours.count), offered, offeredLength)
                // RFC 7301 section 3.2: nothing in common is fatal.
                guard result == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                // SSL_select_next_proto answers with a pointer into the server's list; find the same name in the client's.
                var at = 0
                let length = Int(outLength!.pointee)
                while at < Int(offeredLength) {
                    let size = Int(offered[at])
                    if size == length, memcmp(offered + at + 1, selected!, length) == 0 {
                        out?.pointee = offered + at + 1
                        return SSL_TLSEXT_ERR_OK
                    }
                    at += size + 1
                }
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
        }, nil)
    }

    /// The certificate for a lower-case name: exact, else a wildcard of its parent (one label, RFC 9525 section 6.3).
    func certificate(for name: String) -> Certificate? {
        if let found = exact[name] { return found }
        guard !wildcard.isEmpty, let dot = name.firstIndex(of: ".") else { return nil }
        return wildcard[String(name[name.index(after: dot)...])]
    }

    /// Whether it would still accept this certificate, which another listener of the same address has accepted.
    public func vouches(for certificate: ClientCertificate) -> Bool { clientAuthorities?.vouch(for: certificate) ?? false }

    /// The first certificate, chain included.
    var fallback: Certificate { certificates[0] }
}
