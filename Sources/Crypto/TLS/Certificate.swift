import Base
import COpenSSL

/// A certificate chain with its key, ready to be presented. Immutable; shared by all listeners and loops.
public final class Certificate: @unchecked Sendable {
    /// Holds the chain and the key; the listener's context holds everything else.
    let context: Owned
    /// DNS names of the subject alternative name, lower case; `*.` in front of wildcards.
    public let names: [String]
    /// A DNS name or an address is among the subject alternative names.
    let namesHost: Bool
    public let validity: Validity
    /// OpenSSL's number of it: RSA, elliptic curve, Ed25519.
    let keyType: Int32

    public enum Fault: Error, Sendable, CustomStringConvertible {
        case chain(String)
        case key(String)

        public var description: String {
            switch self {
            case .chain(let reason), .key(let reason): return reason
            }
        }
    }

    /// Reads PEM files: the chain with the server's certificate first, and its key.
    /// - Parameter passphrase: of a key that is encrypted.
    public init(chain: String, key: String, passphrase: String? = nil) throws(Fault) {
        ERR_clear_error()
        guard let made = unsafe Owned(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) else {
            throw .chain(OpenSSLError("SSL_CTX_new").description)
        }
        if let fault = PEMFile.fault(chain, wanted: .certificate) { throw .chain(fault) }
        if let fault = PEMFile.fault(key, wanted: .key) { throw .key(fault) }
        // There is for as long as the files are read.
        let secret = Passphrase(passphrase)
        unsafe SSL_CTX_set_default_passwd_cb(made.pointer, Passphrase.callback)
        unsafe SSL_CTX_set_default_passwd_cb_userdata(made.pointer, Unmanaged.passUnretained(secret).toOpaque())
        defer { withExtendedLifetime(secret) {} }
        guard unsafe SSL_CTX_use_certificate_chain_file(made.pointer, chain) == 1 else {
            throw .chain(OpenSSLError("can't read the certificate chain \(chain)").description)
        }
        guard unsafe SSL_CTX_use_PrivateKey_file(made.pointer, key, SSL_FILETYPE_PEM) == 1 else {
            // OpenSSL compares it with the certificate at once.
            if unsafe ERR_reason_error_string(ERR_peek_last_error()).map({ unsafe String(cString: $0).hasSuffix("mismatch") }) == true {
                ERR_clear_error()
                throw .key("the private key \(key) does not belong to the certificate \(chain)")
            }
            let error = OpenSSLError("can't use the private key \(key)")
            guard secret.wasAsked else { throw .key(error.description) }
            throw .key(
                passphrase == nil
                    ? "the private key \(key) has a passphrase: add `passphrase=file:PATH`"
                    : "the passphrase does not open the private key \(key)")
        }
        guard unsafe SSL_CTX_check_private_key(made.pointer) == 1, let leaf = unsafe SSL_CTX_get0_certificate(made.pointer) else {
            // A key of another type than the certificate's: that there is none for it is no news.
            ERR_clear_error()
            throw .key("the private key \(key) does not belong to the certificate \(chain)")
        }
        unsafe SSL_CTX_set_default_passwd_cb_userdata(made.pointer, nil)
        // The context's own.
        (names, namesHost) = unsafe Self.names(of: leaf)
        validity = unsafe Validity(of: leaf)
        keyType = unsafe EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(made.pointer))
        TLSListener.prepare(made)
        context = made
    }

    /// Puts chain and key into another context. False where OpenSSL has no room.
    func use(in other: borrowing Owned) -> Bool {
        unsafe SSL_CTX_use_cert_and_key(
            other.pointer, SSL_CTX_get0_certificate(context.pointer), SSL_CTX_get0_privatekey(context.pointer),
            c_ssl_ctx_chain(context.pointer), 1) == 1
    }

    private static func names(of leaf: OpaquePointer) -> (dns: [String], namesHost: Bool) {
        let id = NID_subject_alt_name
        guard let names = unsafe Owned(X509_get_ext_d2i(leaf, id, nil, nil).map(OpaquePointer.init), GENERAL_NAMES_free)
        else { return ([], false) }
        var found: [String] = []
        var hasAddress = false
        let count = unsafe c_sk_general_name_num(names.pointer)
        for i in 0..<count {
            // Parts of `names`. The union has what its type says.
            guard let name = unsafe c_sk_general_name_value(names.pointer, i) else { continue }
            if unsafe name.pointee.type == GEN_IPADD { hasAddress = true }
            if unsafe name.pointee.type == GEN_DNS, let text = unsafe name.pointee.d.dNSName,
                let bytes = unsafe ASN1_STRING_get0_data(text)
            {
                let raw = unsafe UnsafeBufferPointer(start: bytes, count: Int(ASN1_STRING_length(text)))
                found.append(HostName.normal(unsafe String(decoding: raw, as: UTF8.self)))
            }
        }
        return (found, hasAddress || !found.isEmpty)
    }
}
