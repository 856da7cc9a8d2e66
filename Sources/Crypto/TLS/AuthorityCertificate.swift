import COpenSSL

/// A certificate of one who vouches for others. An authority is a name and a key: a renewed certificate, or one that another
/// authority has signed too, is the same one's; one of the same name with another key is somebody else's. Immutable.
public final class AuthorityCertificate: @unchecked Sendable {
    /// Of its authority: one for its name and its key.
    public let id: Digest256
    /// As RFC 4514 writes it.
    public let name: [UInt8]
    public let validity: Validity
    private let certificate: Owned

    private init?(_ certificate: OpaquePointer) {
        guard let id = unsafe Self.id(of: certificate),
            let name = unsafe DistinguishedName.text(X509_get_subject_name(certificate)),
            // One more reference to it, which is this object's.
            unsafe X509_up_ref(certificate) == 1, let own = unsafe Owned(certificate, X509_free)
        else { return nil }
        unsafe (self.id, self.name, validity) = (id, name, Validity(of: certificate))
        self.certificate = own
    }

    /// Those of a PEM file.
    public static func read(_ path: String) throws(OpenSSLError) -> [AuthorityCertificate] {
        try PEMFile.checkAuthorities(path)
        guard let store = unsafe Owned(X509_STORE_new(), X509_STORE_free) else { throw OpenSSLError("X509_STORE_new") }
        guard unsafe X509_STORE_load_file(store.pointer, path) == 1 else { throw OpenSSLError("can't read the authorities \(path)") }
        return all(in: store)
    }

    static func all(in store: borrowing Owned) -> [AuthorityCertificate] {
        // The store's own list: nobody else has the store, and it does not change.
        let objects = unsafe X509_STORE_get0_objects(store.pointer)
        return unsafe (0..<c_sk_x509_object_num(objects)).compactMap { index in
            unsafe X509_OBJECT_get0_X509(c_sk_x509_object_value(objects, index)).flatMap { unsafe AuthorityCertificate($0) }
        }
    }

    /// The digest of the DER of the subject and of the whole SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): the bits of a
    /// key alone would be another key's too, of a curve made for that.
    static func id(of certificate: OpaquePointer) -> Digest256? {
        // Both are parts of the certificate. Asked without room, i2d(3) says how much it writes.
        var name: UnsafePointer<UInt8>?
        var count = 0
        let key = unsafe X509_get_X509_PUBKEY(certificate)
        let size = unsafe Int(i2d_X509_PUBKEY(key, nil))
        guard unsafe X509_NAME_get0_der(X509_get_subject_name(certificate), &name, &count) == 1, size > 0 else { return nil }
        var info = [UInt8](repeating: 0, count: size)
        unsafe info.withUnsafeMutableBufferPointer { room in
            var at = room.baseAddress
            unsafe i2d_X509_PUBKEY(key, &at)
        }
        return SHA256.digest(unsafe Array(UnsafeBufferPointer(start: name, count: count)) + info)
    }

    /// Whether the other one is this one's work, by its names and its signature.
    func issued(_ other: AuthorityCertificate) -> Bool {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return unsafe X509_check_issued(certificate.pointer, other.certificate.pointer) == X509_V_OK
            && X509_verify(other.certificate.pointer, X509_get0_pubkey(certificate.pointer)) == 1
    }
}
