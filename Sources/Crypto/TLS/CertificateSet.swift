import COpenSSL

/// The certificates of one name, at most one of each type of key. OpenSSL presents the one that the client can use, and to
/// who can use several the one of an elliptic curve. Immutable; shared by all loops.
final class CertificateSet: @unchecked Sendable {
    let certificates: [Certificate]
    /// Holds them all.
    let context: Owned

    /// - Parameter certificates: at least one, and of each type of key one at most.
    init(_ certificates: [Certificate]) throws(OpenSSLError) {
        self.certificates = certificates
        ERR_clear_error()
        guard certificates.count > 1 else {
            // The certificate's own, counted once more.
            guard let only = certificates.first, unsafe SSL_CTX_up_ref(only.context.pointer) == 1,
                let context = unsafe Owned(only.context.pointer, SSL_CTX_free)
            else { throw OpenSSLError("no certificate") }
            self.context = context
            return
        }
        guard let context = unsafe Owned(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) else { throw OpenSSLError("SSL_CTX_new") }
        TLSListener.prepare(context)
        for certificate in certificates {
            guard certificate.use(in: context) else { throw OpenSSLError("certificate") }
        }
        self.context = context
    }
}
