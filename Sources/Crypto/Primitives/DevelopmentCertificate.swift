import Base
import COpenSSL
import Glibc

/// A self-signed certificate for trying things out. Never for production: its key lies beside it, and nobody vouches for it.
public enum DevelopmentCertificate {
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    /// Writes an ECDSA P-256 key (mode 0600) and a certificate for `names` that is valid for a year.
    public static func write(names: [String], chain: String, key: String) throws {
        guard let first = names.first, let pair = unsafe Owned(c_evp_ec_gen("P-256"), EVP_PKEY_free) else {
            throw OpenSSLError("can't make a key")
        }
        guard let certificate = unsafe Owned(X509_new(), X509_free) else { throw OpenSSLError("X509_new") }
        unsafe X509_set_version(certificate.pointer, 2)
        unsafe ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.pointer), Random.word() >> 1)
        unsafe X509_gmtime_adj(X509_getm_notBefore(certificate.pointer), -3600)
        unsafe X509_gmtime_adj(X509_getm_notAfter(certificate.pointer), 365 * 86400)
        unsafe X509_set_pubkey(certificate.pointer, pair.pointer)
        // Part of the certificate.
        let subject = unsafe X509_get_subject_name(certificate.pointer)
        unsafe X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, first, -1, -1, 0)
        unsafe X509_set_issuer_name(certificate.pointer, subject)
        // Has both certificates by pointer, and is not used once they are gone.
        var context = unsafe X509V3_CTX()
        unsafe X509V3_set_ctx(&context, certificate.pointer, certificate.pointer, nil, nil, 0)
        let extensions = [
            (NID_subject_alt_name, names.map { "DNS:" + $0 }.joined(separator: ",")),
            (NID_basic_constraints, "critical,CA:TRUE"),
            (NID_ext_key_usage, "serverAuth"),
        ]
        for (id, value) in extensions {
            guard let made = unsafe Owned(X509V3_EXT_conf_nid(nil, &context, id, value), X509_EXTENSION_free) else {
                throw OpenSSLError("bad extension \(value)")
            }
            unsafe X509_add_ext(certificate.pointer, made.pointer, -1)
        }
        guard unsafe X509_sign(certificate.pointer, pair.pointer, EVP_sha256()) > 0 else { throw OpenSSLError("can't sign") }
        try save(key, mode: 0o600) { unsafe PEM_write_bio_PrivateKey($0.pointer, pair.pointer, nil, nil, 0, nil, nil) }
        try save(chain, mode: 0o644) { unsafe PEM_write_bio_X509($0.pointer, certificate.pointer) }
    }

    private static func save(_ path: String, mode: mode_t, _ write: (borrowing Owned) -> Int32) throws {
        if let slash = path.lastIndex(of: "/") { unsafe mkdir(String(path[..<slash]), 0o755) }
        guard let bio = unsafe Owned(BIO_new(BIO_s_mem()), BIO_free_all) else { throw OpenSSLError("BIO_new") }
        guard write(bio) == 1 else { throw OpenSSLError("can't encode \(path)") }
        // The bytes are the buffer's, which is there until the end.
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe Int(c_bio_get_mem_data(bio.pointer, &start))
        let fd = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        defer { if fd >= 0 { close(fd) } }
        guard fd >= 0, unsafe Glibc.write(fd, start, count) == count else {
            throw Failure(description: "\(path): \(unsafe String(cString: strerror(errno)))")
        }
    }
}
