import Configuration
import Crypto

/// Whose a client certificate is: by its fingerprint, or by its subject and who vouches for it.
struct CertificateOwners: Sendable {
    private struct Claim: Sendable {
        var tenant: Int
        /// Ids, one of which must vouch for it; nil where there is a single authority anyway.
        var authorities: Set<Digest256>?
    }

    private var fingerprints: [Digest256: Int] = [:]
    private var subjects: [[UInt8]: [Claim]] = [:]
    private var open: Set<Int> = []

    /// - Parameter authorities: what the issuers that the settings name are. One that is not among them vouches for nobody.
    init(_ settings: [TenantSettings], _ authorities: [CertificateIssuer: Set<Digest256>]) {
        for (tenant, one) in settings.enumerated() {
            for certificate in one.clientCertificates {
                switch certificate.wanted {
                case .any: open.insert(tenant)
                case .fingerprint(let digest): fingerprints[Digest256(digest)] = tenant
                case .subject(let subject, .sole):
                    subjects[Array(subject.utf8), default: []].append(Claim(tenant: tenant))
                case .subject(let subject, let issuer):
                    let claim = Claim(tenant: tenant, authorities: authorities[issuer] ?? [])
                    subjects[Array(subject.utf8), default: []].append(claim)
                }
            }
        }
    }

    /// The index of the tenant that it names. Of several authorities behind it the nearest counts: who trusts an
    /// intermediate with a subject means that one's, whoever else trusts its root with the same.
    func owner(of certificate: ClientCertificate) -> Int? {
        if let tenant = fingerprints[certificate.fingerprint] { return tenant }
        guard let claims = subjects[certificate.subject] else { return nil }
        for authority in certificate.authorities {
            for claim in claims where claim.authorities?.contains(authority) ?? true { return claim.tenant }
        }
        return nil
    }

    func opensToAny(_ tenant: Int) -> Bool { open.contains(tenant) }
}
