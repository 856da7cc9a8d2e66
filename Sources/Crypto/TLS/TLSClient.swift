import COpenSSL

/// TLS towards a server that must prove its name, over a socket that blocks: for the control thread's own errands, never
/// for requests. The authorities are the system's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
public final class TLSClient {
    private let context: OpaquePointer
    private let ssl: OpaquePointer

    /// Shakes hands. The socket stays the caller's to close, after this is gone.
    /// - Parameters:
    ///   - host: a name, or a numeric address without brackets.
    ///   - isAddress: the certificate must have the address instead of a name.
    public init(_ fd: Int32, host: String, isAddress: Bool) throws(OpenSSLError) {
        ERR_clear_error()
        guard let made = Owned(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) else { throw OpenSSLError("SSL_CTX_new") }
        _ = c_ssl_ctx_set_min_proto_version(made.pointer, TLS1_2_VERSION)
        SSL_CTX_set_verify(made.pointer, SSL_VERIFY_PEER, nil)
        guard SSL_CTX_set_default_verify_paths(made.pointer) == 1, let session = Owned(SSL_new(made.pointer), SSL_free) else {
            throw OpenSSLError("no authorities")
        }
        // Whole from here on: what is thrown below frees both by `deinit`.
        (context, ssl) = (made.take(), session.take())
        let isNamed =
            isAddress
            ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
            : SSL_set1_host(ssl, host) == 1 && c_ssl_set_tlsext_host_name(ssl, host) == 1
        guard isNamed, SSL_set_fd(ssl, fd) == 1 else { throw OpenSSLError("not a name for TLS") }
        guard SSL_connect(ssl) == 1 else {
            let verdict = SSL_get_verify_result(ssl)
            if verdict != Int(X509_V_OK), let text = X509_verify_cert_error_string(verdict) {
                ERR_clear_error()
                throw OpenSSLError("the server's certificate is refused: \(String(cString: text))")
            }
            throw OpenSSLError("no TLS handshake")
        }
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    public func write(_ bytes: [UInt8]) -> Bool {
        var count = 0
        return SSL_write_ex(ssl, bytes, bytes.count, &count) == 1 && count == bytes.count
    }

    /// What a read gave.
    public enum Read: Equatable { case bytes(Int), end, failed }

    /// `end` only where the server has said that it is one.
    public func read(into room: UnsafeMutableRawBufferPointer) -> Read {
        var count = 0
        let result = SSL_read_ex(ssl, room.baseAddress, room.count, &count)
        if result == 1 { return .bytes(count) }
        let reason = SSL_get_error(ssl, result)
        ERR_clear_error()
        return reason == SSL_ERROR_ZERO_RETURN ? .end : .failed
    }
}
