import Base

/// Credentials: who issues them, and whose they are.
extension Builder {
    /// `none` beside a method would let in everyone, or no one: readers differ.
    func methods(_ item: Checked) -> [AuthenticationMethod] {
        var methods: [AuthenticationMethod] = []
        for word in item.words where word.text != "none" {
            let method = word.text == "jwt" ? AuthenticationMethod.jwt : .apiKey
            if methods.contains(method) {
                diagnostics.error(at: word, "\(quoted(word.text)) stands twice")
            } else {
                methods.append(method)
            }
        }
        return methods
    }

    /// False where it is not taken.
    mutating func takeKey(_ item: Checked, _ tenant: inout TenantSettings) -> Bool {
        guard case .text(let text) = item.values[0], let digest = DigestSettings(text) else { return false }
        let word = item.words[0]
        if let earlier = keyOwners.updateValue(Claim(tenant: tenant.id, location: word.location), forKey: digest) {
            keyOwners[digest] = earlier
            diagnostics.error(at: word, "this key belongs to \(earlier.owner) already (\(place(earlier.location)))")
            return false
        }
        var key = KeySettings(digest: digest)
        if case .text(let name) = item.option("name") { key.name = name }
        if case .text(let date) = item.option("expires") {
            key.expires = Dates.seconds(date)
            if UInt64(key.expires ?? 0) <= checker.source.now(), let at = optionWord("expires", of: item) {
                diagnostics.warning(at: at, "this key has expired: requests with it are refused")
            }
        }
        (key.roles, key.scopes) = (item.names("roles"), item.names("scopes"))
        key.usage = keyUsage(item)
        checkRates(key.usage, word)
        tenant.keys.append(key)
        return true
    }

    /// The limits that stand behind a key: one of each kind.
    private func keyUsage(_ item: Checked) -> UsageSettings {
        var layer = UsageLayer()
        let isShadow = item.option("mode") == .text("shadow")
        if case .amount(let count, let unit)? = item.option("rate") {
            layer.rates = [UsageLayer.rate(count, unit, burst: item.option("burst"), isShadow)]
        }
        if case .amount(let count, let unit)? = item.option("quota") { layer.quotas = [UsageLayer.quota(count, unit, isShadow)] }
        if case .number(let count)? = item.option("concurrency") {
            layer.concurrency = ConcurrencySettings(count: count, isShadow: isShadow)
        }
        return layer.settings
    }

    /// Without `tenant_claim` an issuer's tokens can name one tenant only.
    mutating func use(_ word: Word, by tenant: inout TenantSettings) {
        guard let issuer = issuers[word.text] else { return unknown("jwt", word, issuers.keys) }
        if !tenant.issuers.contains(issuer.index) { tenant.issuers.append(issuer.index) }
        if issuer.hasTenantClaim { return }
        if let user = issuer.user, user.id != tenant.id {
            diagnostics.error(
                at: word,
                "tenant \(quoted(user.id)) uses \(quoted(word.text)) too (\(place(user.word.location))): "
                    + "its tokens must say which tenant they are for",
                suggestion: "add `tenant_claim CLAIM;` to `jwt \(word.text)`")
        } else {
            issuers[word.text]?.user = (tenant.id, word)
        }
    }

    mutating func takeClientCertificate(_ item: Checked, _ tenant: inout TenantSettings) {
        let name = checker.tree.statements[item.statement].name
        guard let issuer = certificateIssuer(item, name) else { return }
        var wanted: [ClientCertificateSettings.Wanted] = item.words.isEmpty ? [] : [.any]
        if case .text(let text) = item.option("fingerprint"), let digest = DigestSettings(text) {
            wanted.append(.fingerprint(digest))
        }
        if case .text(let subject) = item.option("subject") { wanted.append(.subject(subject, by: issuer)) }
        guard wanted.count == 1 else {
            diagnostics.error(
                at: name, "`client_certificate` needs one of `any`, `fingerprint=` and `subject=`",
                suggestion: "write one line for each certificate")
            return
        }
        // A certificate names its tenant, as a host does.
        if wanted[0] != .any {
            let claim = Claim(tenant: tenant.id, location: name.location)
            if let earlier = certificateOwners.updateValue(claim, forKey: wanted[0]) {
                certificateOwners[wanted[0]] = earlier
                diagnostics.error(
                    at: name, "this certificate belongs to \(earlier.owner) already (\(place(earlier.location)))")
                return
            }
        }
        tenant.clientCertificates.append(
            ClientCertificateSettings(wanted: wanted[0], roles: item.names("roles"), location: name.location))
    }

    /// Who must have issued it; nil after saying what is wrong.
    private func certificateIssuer(_ item: Checked, _ name: Word) -> CertificateIssuer? {
        switch (item.option("issuer"), item.option("ca")) {
        case (nil, nil): return .sole
        case (.text?, .text?):
            diagnostics.error(at: name, "`client_certificate` takes `issuer=` or `ca=`, not both")
        case (.text(let issuer)?, _) where item.option("subject") != nil: return .named(issuer)
        case (_, .text(let path)?) where item.option("subject") != nil: return .file(path)
        default:
            diagnostics.error(
                at: name, "`issuer=` and `ca=` say whose `subject=` it is, and there is none",
                suggestion: "write `client_certificate subject=\"CN=NAME\" ...`")
        }
        return nil
    }

    /// What nobody could ever present.
    func checkCredentials(_ tenant: TenantSettings, _ word: Word, _ block: Block) {
        if !block.lacks(.clientCertificate),
            !settings.hot.listeners.contains(where: { $0.tls?.clientAuthorities != nil }), diagnostics.errorCount == 0
        {
            diagnostics.error(
                at: word, "tenant \(quoted(tenant.id)) wants a client certificate, and no listener accepts one",
                suggestion: "add `client_ca FILE;` to a `listen` with `tls`")
        }
        let methods = tenant.authenticate
        if methods.isEmpty || block.hasUnknown { return }
        if methods.contains(.apiKey), block.has(.key) { return }
        if methods.contains(.jwt), block.has(.jwt) { return }
        diagnostics.warning(
            at: word,
            "nobody can authenticate to tenant \(quoted(tenant.id)): it has no \(missing(methods))")
    }

    private func missing(_ methods: [AuthenticationMethod]) -> String {
        methods.map { $0 == .apiKey ? "`key`" : "`jwt`" }.joined(separator: " or ")
    }
}
