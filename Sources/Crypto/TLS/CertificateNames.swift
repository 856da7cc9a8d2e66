/// Which certificates each name has, in the order in which a listener names them.
struct CertificateNames {
    private let certificates: [Certificate]
    private let now: Int
    private var exact: [String: [Certificate]] = [:]
    /// By what follows the `*.`.
    private var wildcard: [String: [Certificate]] = [:]

    /// - Parameter now: seconds since 1970, to tell which are of use.
    init(_ certificates: [Certificate], at now: Int) {
        (self.certificates, self.now) = (certificates, now)
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

    /// - exact: no wildcard helps out. Most clients can use either type of key, and would be shown the wildcard's because of
    ///   its type where the name has a certificate of its own.
    /// - wildcard: by what follows the `*.`.
    /// - fallback: the first certificate, with those that have all of its names.
    func sets() throws(OpenSSLError) -> (
        exact: [String: CertificateSet], wildcard: [String: CertificateSet], fallback: CertificateSet
    ) {
        guard let first = certificates.first else { throw OpenSSLError("no certificate") }
        // Names that have the same certificates share a set.
        var made: [[ObjectIdentifier]: CertificateSet] = [:]
        func set(_ certificates: [Certificate]) throws(OpenSSLError) -> CertificateSet {
            let chosen = Self.chosen(certificates, at: now)
            let key = chosen.map(ObjectIdentifier.init)
            if let known = made[key] { return known }
            let new = try CertificateSet(chosen)
            made[key] = new
            return new
        }
        var sets: (exact: [String: CertificateSet], wildcard: [String: CertificateSet]) = ([:], [:])
        for (name, own) in exact { sets.exact[name] = try set(own) }
        for (parent, own) in wildcard { sets.wildcard[parent] = try set(own) }
        let names = Set(first.names)
        let standIns = names.isEmpty ? [] : certificates.filter { $0 !== first && names.isSubset(of: $0.names) }
        return try (sets.exact, sets.wildcard, set([first] + standIns))
    }

    /// One of each type of key, the first of those that clients accept: a client that can use several types is shown one of
    /// them, and it is not to be the one that has expired. Where clients accept none, it is as if they accepted all.
    private static func chosen(_ certificates: [Certificate], at now: Int) -> [Certificate] {
        let accepted = certificates.filter { $0.isAccepted(at: now) }
        var types: Set<Int32> = []
        return (accepted.isEmpty ? certificates : accepted).filter { types.insert($0.keyType).inserted }
    }
}
