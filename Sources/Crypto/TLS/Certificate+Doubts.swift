import COpenSSL

/// What keeps a certificate that reads well from serving anybody.
extension Certificate {
    /// Each as the rest of a sentence that begins with the certificate.
    /// - Parameter now: seconds since 1970.
    public func doubts(at now: Int) -> [String] {
        [validity.doubt(at: now), nameless, purpose, curve].compactMap { $0 }
    }

    /// Whether clients accept it for one of its names: it is valid then, and for servers.
    public func isAccepted(at now: Int) -> Bool { validity.holds(at: now) && isForServers }

    /// Of Ed25519 or Ed448 (RFC 8410).
    var hasEdwardsKey: Bool { [EVP_PKEY_ED25519, EVP_PKEY_ED448].contains(keyType) }

    /// RFC 9525 section 2: nobody looks for a host in the common name any more.
    private var nameless: String? {
        // The context's own.
        let has = unsafe X509_get_ext_by_NID(SSL_CTX_get0_certificate(context.pointer), NID_subject_alt_name, -1) >= 0
        if !has { return "has no subject alternative name: clients look for a host nowhere else" }
        return namesHost ? nil : "has no host among its subject alternative names: clients look for one nowhere else"
    }

    /// RFC 5280 section 4.2.1.12: an extended key usage says all that the key is for.
    private var isForServers: Bool {
        // The context's own. Without the extension every bit is set.
        let usage = unsafe X509_get_extended_key_usage(SSL_CTX_get0_certificate(context.pointer))
        return usage & UInt32(XKU_SSL_SERVER | XKU_ANYEKU) != 0
    }

    private var purpose: String? {
        isForServers ? nil : "is not for servers: its extended key usage lacks serverAuth, and clients refuse it"
    }

    /// RFC 8446 section 4.2.3 knows three curves. A curve that is spelled out, instead of named, no client takes: its
    /// parameters may be anything (RFC 5480 section 2.1.1).
    private var curve: String? {
        let key = unsafe SSL_CTX_get0_privatekey(context.pointer)
        guard let key = unsafe key, keyType == EVP_PKEY_EC else { return nil }
        if unsafe c_evp_pkey_has_explicit_curve(key) != 0 {
            return "spells the curve of its key out instead of naming it: clients refuse that"
        }
        var name = [CChar](repeating: 0, count: 64)
        var count = 0
        guard unsafe EVP_PKEY_get_group_name(key, &name, name.count, &count) == 1 else { return nil }
        let text = String(decoding: name[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return ["prime256v1", "secp384r1", "secp521r1"].contains(text)
            ? nil : "has a key of the curve \(text), which clients don't offer: P-256 is what all of them know"
    }
}
