import COpenSSL

/// TLS towards a server that must prove its name, over a socket that never blocks: each call does what can be done now and
/// says what it waits for. For the gateway's own errands, never for requests. The authorities are the system's, or those of
/// `SSL_CERT_FILE` and `SSL_CERT_DIR`.
public final class TLSClient {
    /// What has to be there before the same call is made again.
    public enum Need { case reading, writing }

    private let context: OpaquePointer
    private let ssl: OpaquePointer

    /// The socket stays the caller's to close, after this is gone.
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
        // A write that has to be made again is made from wherever its bytes are by then.
        _ = c_ssl_set_mode(ssl, Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    /// Nil once it is done.
    public func shakeHands() throws(OpenSSLError) -> Need? {
        ERR_clear_error()
        let result = SSL_connect(ssl)
        if result == 1 { return nil }
        if let need = need(after: result) { return need }
        let verdict = SSL_get_verify_result(ssl)
        if verdict != Int(X509_V_OK), let text = X509_verify_cert_error_string(verdict) {
            ERR_clear_error()
            throw OpenSSLError("the server's certificate is refused: \(String(cString: text))")
        }
        throw OpenSSLError("no TLS handshake")
    }

    /// All of the bytes, or none: nil once they are sent. The next call must be for the same bytes.
    public func write(_ bytes: [UInt8]) throws(OpenSSLError) -> Need? {
        ERR_clear_error()
        var count = 0
        let result = SSL_write_ex(ssl, bytes, bytes.count, &count)
        if result == 1 { return nil }
        if let need = need(after: result) { return need }
        throw OpenSSLError("the connection broke")
    }

    /// What a read gave.
    public enum Read: Equatable {
        case bytes(Int)
        /// The server has said that it is one.
        case end
        case needs(Need)
    }

    public func read(into room: UnsafeMutableRawBufferPointer) throws(OpenSSLError) -> Read {
        ERR_clear_error()
        var count = 0
        let result = SSL_read_ex(ssl, room.baseAddress, room.count, &count)
        if result == 1 { return .bytes(count) }
        if let need = need(after: result) { return .needs(need) }
        if SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN { return .end }
        throw OpenSSLError("the connection broke")
    }

    private func need(after result: Int32) -> Need? {
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: .reading
        case SSL_ERROR_WANT_WRITE: .writing
        default: nil
        }
    }
}
