import COpenSSL

/// Who vouches for a client's certificate, and for how long, as its handshake found out. It travels in the session's
/// ticket, where OpenSSL itself keeps the certificate alone.
struct ClientChain: Equatable {
    /// Ids, nearest first, up to an authority of the listener. A certificate that is trusted itself is its own.
    var authorities: [Digest256]
    /// Seconds since 1970 from which on the certificate, or one above it, is no longer valid.
    var expires: Int64

    init(authorities: [Digest256], expires: Int64) { (self.authorities, self.expires) = (authorities, expires) }

    /// What the handshake of this connection has verified; nil where it has verified nothing.
    init?(verifiedBy ssl: OpaquePointer) {
        guard let chain = unsafe SSL_get0_verified_chain(ssl) else { return nil }
        // The connection's own, and its certificates too.
        let count = unsafe c_sk_x509_num(chain)
        (authorities, expires) = ([], .max)
        for index in 0..<count {
            guard let certificate = unsafe c_sk_x509_value(chain, index) else { return nil }
            var end = unsafe tm()
            guard unsafe ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1 else { return nil }
            expires = min(expires, unsafe Int64(timegm(&end)))
            if index == 0, count > 1 { continue }
            guard let id = unsafe AuthorityCertificate.id(of: certificate) else { return nil }
            authorities.append(id)
        }
        if authorities.isEmpty { return nil }
    }

    // MARK: In a ticket, which only this process reads: eight bytes of time, and 32 of each id.

    init?(of session: OpaquePointer?) {
        // The session's own bytes, which are copied before anything is read.
        var data: UnsafeMutableRawPointer?
        var count = 0
        guard unsafe SSL_SESSION_get0_ticket_appdata(session, &data, &count) == 1 else { return nil }
        let bytes = unsafe Array(UnsafeRawBufferPointer(start: data, count: count))
        guard count >= 40, count % 32 == 8 else { return nil }
        expires = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int64($1) }
        authorities = stride(from: 8, to: count, by: 32).compactMap { Digest256(bytes[$0..<$0 + 32]) }
    }

    /// False when there is no memory.
    func put(into session: OpaquePointer?) -> Bool {
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: expires >> ($0 * 8)) } + authorities.flatMap(\.bytes)
        // Copied.
        return unsafe SSL_SESSION_set1_ticket_appdata(session, bytes, bytes.count) == 1
    }
}
