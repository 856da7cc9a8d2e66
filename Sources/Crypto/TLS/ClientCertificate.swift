import COpenSSL

/// The certificate that a client has presented, vouched for by an authority of its listener.
public struct ClientCertificate: Sendable, Equatable {
    /// SHA-256 of its DER.
    public var fingerprint: Digest256
    /// The distinguished name as RFC 4514 writes it: `CN=client,O=Example`. Bytes, for Swift's strings take names for
    /// equal that are spelt differently.
    public var subject: [UInt8]

    public init(fingerprint: Digest256, subject: [UInt8]) { (self.fingerprint, self.subject) = (fingerprint, subject) }

    init?(_ certificate: OpaquePointer) {
        var bytes = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 32
        guard X509_digest(certificate, EVP_sha256(), &bytes, &count) == 1, let digest = Digest256(bytes),
            let text = Owned(BIO_new(BIO_s_mem()), BIO_free_all)
        else { return nil }
        guard X509_NAME_print_ex(text.pointer, X509_get_subject_name(certificate), 0, COPENSSL_XN_FLAG_RFC2253) >= 0 else {
            return nil
        }
        var start: UnsafeMutablePointer<CChar>?
        let length = Int(c_bio_get_mem_data(text.pointer, &start))
        subject = Array(UnsafeRawBufferPointer(start: start, count: length))
        fingerprint = digest
    }
}
