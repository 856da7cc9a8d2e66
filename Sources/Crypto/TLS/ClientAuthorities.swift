import Base
import COpenSSL

/// The authorities whose client certificates a listener accepts. Immutable; shared by all loops.
public final class ClientAuthorities: @unchecked Sendable {
    private let store: Owned
    private let names: Owned
    public let certificates: [AuthorityCertificate]
    /// Ids of those at which a chain may end. The others only help to build it.
    private let roots: Set<Digest256>
    /// Keeps a session that was opened under these authorities from being resumed under others, or under none: its
    /// client was vouched for by these alone.
    let sessionContext: Digest256

    /// Reads a PEM file of one or more certificates.
    public init(_ path: String) throws(OpenSSLError) {
        try PEMFile.checkAuthorities(path)
        guard let store = unsafe Owned(X509_STORE_new(), X509_STORE_free) else { throw OpenSSLError("X509_STORE_new") }
        guard unsafe X509_STORE_load_file(store.pointer, path) == 1,
            let names = unsafe Owned(SSL_load_client_CA_file(path), c_sk_x509_name_free)
        else { throw OpenSSLError("can't read the authorities \(path)") }
        certificates = AuthorityCertificate.all(in: store)
        roots = Set(certificates.filter { $0.issued($0) }.map(\.id))
        sessionContext = SHA256.digest(Set(certificates.map(\.id)).sorted { $0.words.0 < $1.words.0 }.flatMap(\.bytes))
        self.store = store
        self.names = names
    }

    /// Whether one of these is behind it, once others have been.
    func vouch(for certificate: ClientCertificate) -> Bool { certificate.authorities.contains(where: roots.contains) }

    /// Those that no chain to a root of the file goes through: what they have issued is never accepted.
    public var rootless: [AuthorityCertificate] {
        var (below, reached) = (certificates.filter { !roots.contains($0.id) }, certificates.filter { roots.contains($0.id) })
        while let above = reached.popLast() {
            let issued = below.filter(above.issued)
            below.removeAll { one in issued.contains { $0 === one } }
            reached += issued
        }
        return below
    }

    /// Asks this connection's client for a certificate, and lets it do without: tenants decide who needs one.
    func apply(to ssl: OpaquePointer) -> Bool {
        unsafe SSL_set_verify(ssl, SSL_VERIFY_PEER, nil)
        unsafe SSL_set_verify_depth(ssl, Int32(Limits.clientIntermediatesMax))
        // The connection takes the copy over, and counts the store. The id's bytes are copied.
        unsafe SSL_set_client_CA_list(ssl, SSL_dup_CA_list(names.pointer))
        let id = sessionContext.bytes
        return unsafe c_ssl_set1_verify_cert_store(ssl, store.pointer) == 1
            && SSL_set_session_id_context(ssl, id, UInt32(id.count)) == 1
    }
}
