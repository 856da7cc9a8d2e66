import COpenSSL
import Glibc

/// Whom we believe when a server proves its name, and what we show it. Immutable, and for every thread.
///
/// Those of the system are some hundred certificates: reading them takes a tenth of a second, so nobody does it on a loop.
public final class ServerAuthorities: @unchecked Sendable {
    let context: Owned

    /// Where the system has them: a file and a folder, of which one may be missing.
    public static var systemPaths: [String] {
        // Texts of the process and of OpenSSL, there for good.
        func path(_ variable: UnsafePointer<CChar>, _ usual: UnsafePointer<CChar>) -> String {
            unsafe String(cString: getenv(variable).map { unsafe UnsafePointer($0) } ?? usual)
        }
        return unsafe [
            path(X509_get_default_cert_file_env(), X509_get_default_cert_file()),
            path(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()),
        ]
    }

    /// Those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    public convenience init() throws(OpenSSLError) {
        try unsafe self.init { unsafe SSL_CTX_set_default_verify_paths($0) == 1 }
    }

    /// Those in a PEM file, and no others.
    public convenience init(file: String) throws(OpenSSLError) {
        try PEMFile.checkAuthorities(file)
        try unsafe self.init { unsafe SSL_CTX_load_verify_file($0, file) == 1 }
    }

    /// Those of another one, read once for both.
    /// - Parameters:
    ///   - certificate: shown to servers that ask for one.
    ///   - verifies: servers prove their names; without it anybody may be the server.
    init(_ others: ServerAuthorities, shows certificate: Certificate?, minVersion: Int32, verifies: Bool) throws(OpenSSLError) {
        context = try Self.newContext()
        _ = unsafe c_ssl_ctx_set_min_proto_version(context.pointer, minVersion)
        // Counted once more, by the context.
        unsafe SSL_CTX_set1_cert_store(context.pointer, SSL_CTX_get_cert_store(others.context.pointer))
        if !verifies { unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_NONE, nil) }
        if let certificate, !certificate.use(in: context) { throw OpenSSLError("certificate") }
    }

    private init(_ load: (OpaquePointer) -> Bool) throws(OpenSSLError) {
        let context = try Self.newContext()
        guard unsafe load(context.pointer) else { throw OpenSSLError("no authorities") }
        self.context = context
    }

    private static func newContext() throws(OpenSSLError) -> Owned {
        ERR_clear_error()
        guard let context = unsafe Owned(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) else { throw OpenSSLError("SSL_CTX_new") }
        _ = unsafe c_ssl_ctx_set_min_proto_version(context.pointer, TLS1_2_VERSION)
        unsafe SSL_CTX_set_options(context.pointer, COPENSSL_OP_NO_RENEGOTIATION | COPENSSL_OP_NO_COMPRESSION)
        unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        return context
    }
}
