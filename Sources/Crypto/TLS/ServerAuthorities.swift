import COpenSSL

/// Whom we believe when a server proves its name. Immutable, and for every thread.
///
/// Those of the system are some hundred certificates: reading them takes a tenth of a second, so nobody does it on a loop.
public final class ServerAuthorities: @unchecked Sendable {
    let context: Owned

    /// Those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    public convenience init() throws(OpenSSLError) {
        try unsafe self.init { unsafe SSL_CTX_set_default_verify_paths($0) == 1 }
    }

    /// Those in a PEM file, and no others.
    public convenience init(file: String) throws(OpenSSLError) {
        try PEMFile.checkAuthorities(file)
        try unsafe self.init { unsafe SSL_CTX_load_verify_file($0, file) == 1 }
    }

    private init(_ load: (OpaquePointer) -> Bool) throws(OpenSSLError) {
        ERR_clear_error()
        guard let context = unsafe Owned(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) else { throw OpenSSLError("SSL_CTX_new") }
        _ = unsafe c_ssl_ctx_set_min_proto_version(context.pointer, TLS1_2_VERSION)
        unsafe SSL_CTX_set_options(context.pointer, COPENSSL_OP_NO_RENEGOTIATION | COPENSSL_OP_NO_COMPRESSION)
        unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        guard unsafe load(context.pointer) else { throw OpenSSLError("no authorities") }
        self.context = context
    }
}
