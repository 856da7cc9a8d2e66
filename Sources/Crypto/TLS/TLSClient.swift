import Base
import COpenSSL

/// TLS towards a server that must prove its name. For the gateway's own errands, never for requests. Bytes in, bytes out: it
/// knows no socket, so one call never does more than what one `receive` has brought.
///
///     handshaking ──► open ──► ended
///          └───────────┴─────► failed
@safe public final class TLSClient {
    /// What a read gave.
    public enum Read: Equatable {
        case bytes(Int)
        /// Nothing more until more is received.
        case wantsMore
        /// The server has said that it is the end.
        case end
    }

    /// Keeps the context that the session was made from.
    private let authorities: ServerAuthorities
    private let ssl: Owned
    /// Received and not yet read by OpenSSL; produced and not yet taken. Both are the session's to free, and as long there.
    private let input: OpaquePointer
    private let output: OpaquePointer

    /// - Parameters:
    ///   - host: a name, or a numeric address without brackets.
    ///   - isAddress: the certificate must have the address instead of a name.
    ///   - offers: names of protocols for ALPN, in the order of preference.
    public init(_ authorities: ServerAuthorities, host: String, isAddress: Bool, offers: [String] = []) throws(OpenSSLError) {
        ERR_clear_error()
        guard let session = unsafe Owned(SSL_new(authorities.context.pointer), SSL_free),
            let received = unsafe Owned(BIO_new(BIO_s_mem()), BIO_free_all),
            let produced = unsafe Owned(BIO_new(BIO_s_mem()), BIO_free_all)
        else { throw OpenSSLError("SSL_new") }
        guard unsafe Self.expect(host, isAddress: isAddress, on: session.pointer) else { throw OpenSSLError("not a name for TLS") }
        let list = offers.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        // Zero is success here. OpenSSL copies the list.
        guard unsafe list.isEmpty || SSL_set_alpn_protos(session.pointer, list, UInt32(list.count)) == 0 else {
            throw OpenSSLError("SSL_set_alpn_protos")
        }
        self.authorities = authorities
        unsafe (input, output) = (received.take(), produced.take())
        unsafe SSL_set_bio(session.pointer, input, output)
        ssl = session
    }

    /// The server must prove that it is this host, and is told that it is wanted. An address is no server name (RFC 6066 section
    /// 3). False where OpenSSL takes it for neither.
    static func expect(_ host: String, isAddress: Bool, on ssl: OpaquePointer) -> Bool {
        // In a ClientHello and in a certificate there is no dot at the end.
        let host = HostName.normal(host)
        // A host is what a subject alternative name says, and nothing else (RFC 9525 section 6.3).
        unsafe SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        return unsafe isAddress
            ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
            : SSL_set1_host(ssl, host) == 1 && c_ssl_set_tlsext_host_name(ssl, host) == 1
    }

    /// Takes what has come from the server, for the calls below.
    public func receive(_ bytes: UnsafeRawBufferPointer) throws(OpenSSLError) {
        if unsafe bytes.isEmpty { return }
        var count = 0
        guard unsafe BIO_write_ex(input, bytes.baseAddress, bytes.count, &count) == 1, count == bytes.count else {
            throw OpenSSLError("no memory for TLS")
        }
    }

    /// Nothing more will come: where the server has not said so itself, the next call fails.
    public func receiveEnd() { unsafe BIO_ctrl(input, BIO_C_SET_BUF_MEM_EOF_RETURN, 0, nil) }

    /// Takes a step. True once it is done.
    public func shakeHands() throws(OpenSSLError) -> Bool {
        ERR_clear_error()
        let result = unsafe SSL_connect(ssl.pointer)
        if result == 1 { return true }
        if unsafe SSL_get_error(ssl.pointer, result) == SSL_ERROR_WANT_READ { return false }
        if let verdict = unsafe Self.verdict(on: ssl.pointer) {
            ERR_clear_error()
            throw OpenSSLError("the server's certificate is refused: \(Self.text(ofVerdict: verdict))")
        }
        throw OpenSSLError("no TLS handshake")
    }

    /// Why the server's certificate was refused, in the handshake that has just failed; nil where it failed for something else.
    static func verdict(on ssl: OpaquePointer) -> Int? {
        let verdict = unsafe SSL_get_verify_result(ssl)
        return unsafe verdict == Int(X509_V_OK) || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ? nil : verdict
    }

    /// `certificate has expired`
    public static func text(ofVerdict verdict: Int) -> String {
        // A text of OpenSSL's own, there for good.
        guard let text = unsafe X509_verify_cert_error_string(verdict) else { return "error \(verdict)" }
        return unsafe String(cString: text)
    }

    /// Encrypts all of the bytes. Once hands are shaken.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(OpenSSLError) {
        ERR_clear_error()
        var count = 0
        guard unsafe SSL_write_ex(ssl.pointer, bytes.baseAddress, bytes.count, &count) == 1, count == bytes.count else {
            throw OpenSSLError("the connection broke")
        }
    }

    /// Decrypts into `room`, one record at most.
    public func read(into room: UnsafeMutableRawBufferPointer) throws(OpenSSLError) -> Read {
        ERR_clear_error()
        var count = 0
        let result = unsafe SSL_read_ex(ssl.pointer, room.baseAddress, room.count, &count)
        if result == 1 { return .bytes(count) }
        switch unsafe SSL_get_error(ssl.pointer, result) {
        case SSL_ERROR_WANT_READ: return .wantsMore
        case SSL_ERROR_ZERO_RETURN: return .end
        default: throw OpenSSLError("the connection broke")
        }
    }

    /// What is to be sent to the server.
    public func takeOutput() -> [UInt8] {
        let pending = unsafe BIO_ctrl_pending(output)
        if pending == 0 { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: pending) { room, count in
            if unsafe BIO_read_ex(output, room.baseAddress, room.count, &count) != 1 { count = 0 }
        }
    }
}
