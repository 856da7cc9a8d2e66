import Base

extension Builder {
    mutating func takeIssuer(_ item: Checked, _ name: String) {
        var issuer = IssuerSettings(name: name, location: item.words[0].location)
        let block = checker.block(of: item)
        var algorithms: [Word] = []
        var age: Word?
        for said in block.items {
            switch (said.id, said.values[0]) {
            case (.issuer, .text(let text)): issuer.issuer = text
            case (.audience, _): issuer.audiences += said.words.map(\.text)
            case (.keys, .text(let text)):
                issuer.keysLocation = said.words[0].location
                issuer.keys = keys(text, said.words[0])
            case (.keysMaxAge, .number(let time)):
                issuer.keysMaxAge = time
                age = checker.tree.statements[said.statement].name
            case (.algorithms, _):
                algorithms = said.words
                issuer.algorithms = said.words.map(\.text)
            case (.tenantClaim, .text(let claim)): issuer.tenantClaim = claim
            case (.roleClaim, .text(let claim)): issuer.roleClaim = claim
            case (.scopeClaim, .text(let claim)): issuer.scopeClaim = claim
            case (.leeway, .number(let time)): issuer.leeway = time
            case (.claimHeader, .text(let claim)):
                guard case .text(let header) = said.values[1] else { continue }
                if issuer.claimHeaders.contains(where: { $0.header.asciiLowercased == header.asciiLowercased }) {
                    diagnostics.error(at: said.words[1], "\(quoted(header)) has a claim already")
                    continue
                }
                issuer.claimHeaders.append((claim, header))
            default: break
            }
        }
        if issuer.keys != .file("") {
            checkAlgorithms(issuer, algorithms)
            if let age { checkAge(issuer, age) }
        }
        if block.lacks(.audience), !block.lacks(.keys), !algorithms.isEmpty {
            diagnostics.warning(
                at: item.words[0], "tokens of \(quoted(name)) for other services are accepted too",
                suggestion: "add `audience NAME;`")
        }
        issuers[name] = Issuer(index: settings.hot.issuers.count, hasTenantClaim: block.has(.tenantClaim))
        settings.hot.issuers.append(issuer)
    }

    private func keys(_ text: String, _ word: Word) -> IssuerSettings.Keys {
        if word.text.contains("://") { return .url(text) }
        return !word.isQuoted && Secrets.isReference(word.text) ? .secret(text) : .file(text)
    }

    /// Only a fetch can be old.
    private func checkAge(_ issuer: IssuerSettings, _ word: Word) {
        if case .url = issuer.keys { return }
        diagnostics.warning(at: word, "`keys_max_age` is for keys from a URL: those of \(quoted(issuer.name)) have no age")
    }

    /// A public key taken for a secret would let everybody sign (RFC 8725 section 2.1).
    private func checkAlgorithms(_ issuer: IssuerSettings, _ words: [Word]) {
        for word in words {
            let isHMAC = word.text.hasPrefix("HS")
            if case .secret(let secret) = issuer.keys {
                if !isHMAC {
                    diagnostics.error(at: word, "\(quoted(word.text)) needs public keys, and `keys` is a secret")
                } else if let size = Int(word.text.dropFirst(2)), secret.utf8.count < size / 8 {
                    diagnostics.error(
                        at: word, "\(quoted(word.text)) needs a secret of at least \(size / 8) bytes (RFC 7518 section 3.2)")
                }
            } else if isHMAC {
                diagnostics.error(
                    at: word, "\(quoted(word.text)) needs a secret",
                    suggestion: "write `keys file:PATH;` or `keys env:NAME;`")
            }
        }
    }
}
