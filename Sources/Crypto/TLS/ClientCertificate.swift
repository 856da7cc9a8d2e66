import COpenSSL

/// The certificate that a client has presented, with those who vouch for it. Immutable: a connection hands it to each of
/// its requests.
public final class ClientCertificate: Sendable {
    /// SHA-256 of its DER.
    public let fingerprint: Digest256
    /// The distinguished name as RFC 4514 writes it: `CN=client,O=Example`.
    public let subject: [UInt8]
    /// Ids of the authorities that vouch for it, nearest first; the last is one of its listener's.
    public let authorities: [Digest256]
    /// Seconds since 1970 from which on it, or one that vouches for it, is no longer valid.
    public let expires: Int64

    public init(fingerprint: Digest256, subject: [UInt8], authorities: [Digest256], expires: Int64) {
        (self.fingerprint, self.subject, self.authorities, self.expires) = (fingerprint, subject, authorities, expires)
    }

    convenience init?(_ certificate: OpaquePointer, _ chain: ClientChain) {
        // The 32 bytes of a SHA-256; the name is part of the certificate.
        var bytes = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 32
        guard unsafe X509_digest(certificate, EVP_sha256(), &bytes, &count) == 1, let digest = Digest256(bytes),
            let subject = unsafe DistinguishedName.text(X509_get_subject_name(certificate))
        else { return nil }
        self.init(fingerprint: digest, subject: subject, authorities: chain.authorities, expires: chain.expires)
    }
}
