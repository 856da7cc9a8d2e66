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
        guard let first = names.first, let ownKey = Owned(c_evp_ec_gen("P-256"), EVP_PKEY_free) else {
            throw OpenSSLError("can't make a key")
        }
        guard let made = Owned(X509_new(), X509_free) else { throw OpenSSLError("X509_new") }
        let (pair, certificate) = (ownKey.pointer, made.pointer)
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), Random.word() >> 1)
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600)
        X509_gmtime_adj(X509_getm_notAfter(certificate), 365 * 86400)
        X509_set_pubkey(certificate, pair)
        let subject = X509_get_subject_name(certificate)
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, first, -1, -1, 0)
        X509_set_issuer_name(certificate, subject)
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, certificate, certificate, nil, nil, 0)
        let extensions = [
            (NID_subject_alt_name, names.map { "DNS:" + $0 }.joined(separator: ",")),
            (NID_basic_constraints, "critical,CA:TRUE"),
            (NID_ext_key_usage, "serverAuth"),
        ]
        for (id, value) in extensions {
            guard let made = Owned(X509V3_EXT_conf_nid(nil, &context, id, value), X509_EXTENSION_free) else {
                throw OpenSSLError("bad extension \(value)")
            }
            X509_add_ext(certificate, made.pointer, -1)
        }
        guard X509_sign(certificate, pair, EVP_sha256()) > 0 else { throw OpenSSLError("can't sign") }
        try save(key, mode: 0o600) { PEM_write_bio_PrivateKey($0, pair, nil, nil, 0, nil, nil) }
        try save(chain, mode: 0o644) { PEM_write_bio_X509($0, certificate) }
    }

    private static func save(_ path: String, mode: mode_t, _ write: (OpaquePointer) -> Int32) throws {
        if let slash = path.lastIndex(of: "/") { mkdir(String(path[..<slash]), 0o755) }
        guard let bio = Owned(BIO_new(BIO_s_mem()), BIO_free_all) else { throw OpenSSLError("BIO_new") }
        guard write(bio.pointer) == 1 else { throw OpenSSLError("can't encode \(path)") }
        var start: UnsafeMutablePointer<CChar>?
        let count = Int(c_bio_get_mem_data(bio.pointer, &start))
        let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        defer { if fd >= 0 { close(fd) } }
        guard fd >= 0, Glibc.write(fd, start, count) == count else {
            throw Failure(description: "\(path): \(String(cString: strerror(errno)))")
        }
    }
}
