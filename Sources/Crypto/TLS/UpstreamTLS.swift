import Base
import COpenSSL

/// How an upstream's servers are spoken to by TLS: whom we believe about their names, what we show them, and what we offer to
/// speak. Immutable, and for every thread; a reload that changes any of it makes another one, and what was made by this one
/// is shared with nobody else.
public final class UpstreamTLS: Sendable {
    /// For connections of either kind: these, and the gateway's own errands to the same servers.
    public let authorities: ServerAuthorities
    /// The name that all its servers prove; nil: each its own host.
    public let name: String?
    /// The names of protocols, in the order of preference.
    public let offers: [String]
    /// The same as ALPN writes it.
    private let list: [UInt8]
    /// The certificate that is shown; nil where none is.
    public let certificate: Certificate?

    /// - Parameters:
    ///   - believed: shared with others that believe the same.
    ///   - certificate: what servers that ask for one are shown.
    ///   - minVersion: as TLS writes it, 0x0303 or 0x0304.
    ///   - verifies: servers prove their names.
    public init(
        _ believed: ServerAuthorities, name: String?, offers: [String], certificate: Certificate?, minVersion: Int32, verifies: Bool
    ) throws(OpenSSLError) {
        authorities = try ServerAuthorities(believed, shows: certificate, minVersion: minVersion, verifies: verifies)
        (self.name, self.offers, self.certificate) = (name, offers, certificate)
        list = offers.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        let context = unsafe authorities.context.pointer
        // Whoever names an authority believes it, whether or not its own issuer is beside it.
        unsafe X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), UInt(X509_V_FLAG_PARTIAL_CHAIN))
        let mode = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
        _ = unsafe c_ssl_ctx_set_mode(context, Int(mode))
        _ = unsafe c_ssl_ctx_set_session_cache_mode(context, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
        // OpenSSL's callbacks capture nothing. One keeps a session by saying so.
        unsafe SSL_CTX_sess_set_new_cb(context) { ssl, session in
            guard let session = unsafe session else { return 0 }
            return unsafe TLSSession.of(ssl) { unsafe $0.sessions?.keep(session) ?? false } == true ? 1 : 0
        }
        unsafe SSL_CTX_set_info_callback(context) { ssl, _, _ in unsafe TLSSession.of(ssl) { $0.noteStep() } }
    }

    /// On one connection. False where OpenSSL has no room.
    func offer(on ssl: OpaquePointer) -> Bool { unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count)) == 0 }
}
