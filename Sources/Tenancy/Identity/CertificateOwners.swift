import Configuration
import Crypto

/// Whose a client certificate is: by its fingerprint, or by its subject and who vouches for it.
struct CertificateOwners: Sendable {
    struct Owner: Sendable {
        /// Index in the directory.
        var tenant: Int
        /// What its bearer may do: names with commas between.
        var roles: [UInt8]
    }

    private struct Claim: Sendable {
        var owner: Owner
        /// Ids, one of which must vouch for it; nil where there is a single authority anyway.
        var authorities: Set<Digest256>?
    }

    private var fingerprints: [Digest256: Owner] = [:]
    private var subjects: [[UInt8]: [Claim]] = [:]
    /// Tenants that take any, and what those may do.
    private var open: [Int: [UInt8]] = [:]

    /// - Parameter authorities: what the issuers that the settings name are. One that is not among them vouches for nobody.
    init(_ settings: [TenantSettings], _ authorities: [CertificateIssuer: Set<Digest256>]) {
        for (tenant, one) in settings.enumerated() {
            for certificate in one.clientCertificates {
                let owner = Owner(tenant: tenant, roles: Array(certificate.roles.joined(separator: ",").utf8))
                switch certificate.wanted {
                case .any: open[tenant] = owner.roles
                case .fingerprint(let digest): fingerprints[Digest256(digest)] = owner
                case .subject(let subject, .sole):
                    subjects[Array(subject.utf8), default: []].append(Claim(owner: owner))
                case .subject(let subject, let issuer):
                    let claim = Claim(owner: owner, authorities: authorities[issuer] ?? [])
                    subjects[Array(subject.utf8), default: []].append(claim)
                }
            }
        }
    }

    /// The tenant that it names. Of several authorities behind it the nearest counts: who trusts an
    /// intermediate with a subject means that one's, whoever else trusts its root with the same.
    func owner(of certificate: ClientCertificate) -> Owner? {
        if let owner = fingerprints[certificate.fingerprint] { return owner }
        guard let claims = subjects[certificate.subject] else { return nil }
        for authority in certificate.authorities {
            for claim in claims where claim.authorities?.contains(authority) ?? true { return claim.owner }
        }
        return nil
    }

    func opensToAny(_ tenant: Int) -> Bool { open[tenant] != nil }

    func rolesOfAny(_ tenant: Int) -> [UInt8] { open[tenant] ?? [] }
}
