/// Which certificates each name has, in the order in which a listener names them.
struct CertificateNames {
    private let certificates: [Certificate]
    private var exact: [String: [Certificate]] = [:]
    /// By what follows the `*.`.
    private var wildcard: [String: [Certificate]] = [:]

    init(_ certificates: [Certificate]) {
        self.certificates = certificates
        for certificate in certificates {
            for name in certificate.names {
                if name.hasPrefix("*.") {
                    wildcard[String(name.dropFirst(2)), default: []].append(certificate)
                } else {
                    exact[name, default: []].append(certificate)
                }
            }
        }
    }

    /// - exact: a wildcard helps out with a type of key that the name itself has no certificate of.
    /// - wildcard: by what follows the `*.`.
    /// - fallback: the first certificate, with those that have all of its names.
    func sets() throws(OpenSSLError) -> (
        exact: [String: CertificateSet], wildcard: [String: CertificateSet], fallback: CertificateSet
    ) {
        guard let first = certificates.first else { throw OpenSSLError("no certificate") }
        // Names that have the same certificates share a set.
        var made: [[ObjectIdentifier]: CertificateSet] = [:]
        func set(_ certificates: [Certificate]) throws(OpenSSLError) -> CertificateSet {
            let key = CertificateSet.oneOfEachType(certificates).map(ObjectIdentifier.init)
            if let known = made[key] { return known }
            let new = try CertificateSet(certificates)
            made[key] = new
            return new
        }
        var sets: (exact: [String: CertificateSet], wildcard: [String: CertificateSet]) = ([:], [:])
        for (name, own) in exact {
            let dot = name.firstIndex(of: ".")
            let help = dot.flatMap { wildcard[String(name[name.index(after: $0)...])] } ?? []
            sets.exact[name] = try set(own + help)
        }
        for (parent, own) in wildcard { sets.wildcard[parent] = try set(own) }
        let names = Set(first.names)
        let standIns = names.isEmpty ? [] : certificates.filter { names.isSubset(of: $0.names) }
        return try (sets.exact, sets.wildcard, set([first] + standIns))
    }
}
