import COpenSSL

/// A certificate of one who vouches for others. An authority is a name and a key: a renewed certificate, or one that another
/// authority has signed too, is the same one's; one of the same name with another key is somebody else's. Immutable.
public final class AuthorityCertificate: @unchecked Sendable {
    /// Of its authority: one for its name and its key.
    public let id: Digest256
    /// As RFC 4514 writes it.
    public let name: [UInt8]
    private let certificate: OpaquePointer

    private init?(_ certificate: OpaquePointer) {
        guard let id = Self.id(of: certificate), let name = DistinguishedName.text(X509_get_subject_name(certificate)),
            X509_up_ref(certificate) == 1
        else { return nil }
        (self.id, self.name, self.certificate) = (id, name, certificate)
    }

    deinit { X509_free(certificate) }

    /// Those of a PEM file.
    public static func read(_ path: String) throws(OpenSSLError) -> [AuthorityCertificate] {
        ERR_clear_error()
        guard let store = Owned(X509_STORE_new(), X509_STORE_free) else { throw OpenSSLError("X509_STORE_new") }
        guard X509_STORE_load_file(store.pointer, path) == 1 else { throw OpenSSLError("can't read the authorities \(path)") }
        return all(in: store.pointer)
    }

    static func all(in store: OpaquePointer) -> [AuthorityCertificate] {
        let objects = X509_STORE_get0_objects(store)
        return (0..<c_sk_x509_object_num(objects)).compactMap { index in
            X509_OBJECT_get0_X509(c_sk_x509_object_value(objects, index)).flatMap(AuthorityCertificate.init)
        }
    }

    /// The digest of the DER of the subject and of the whole SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): the bits of a
    /// key alone would be another key's too, of a curve made for that.
    static func id(of certificate: OpaquePointer) -> Digest256? {
        var name: UnsafePointer<UInt8>?
        var count = 0
        let key = X509_get_X509_PUBKEY(certificate)
        let size = Int(i2d_X509_PUBKEY(key, nil))
        guard X509_NAME_get0_der(X509_get_subject_name(certificate), &name, &count) == 1, let name, size > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: count + size)
        bytes.withUnsafeMutableBufferPointer { room in
            room.baseAddress?.update(from: name, count: count)
            var at = room.baseAddress.map { $0 + count }
            i2d_X509_PUBKEY(key, &at)
        }
        return SHA256.digest(bytes)
    }

    /// Whether the other one is this one's work, by its names and its signature.
    func issued(_ other: AuthorityCertificate) -> Bool {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return X509_check_issued(certificate, other.certificate) == X509_V_OK
            && X509_verify(other.certificate, X509_get0_pubkey(certificate)) == 1
    }
}
