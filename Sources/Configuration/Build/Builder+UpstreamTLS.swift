extension Builder {
    /// `tls { ... }` of an upstream.
    mutating func upstreamTLS(_ item: Checked) -> UpstreamTLSSettings {
        var tls = UpstreamTLSSettings(location: checker.tree.statements[item.statement].name.location)
        for said in checker.block(of: item).items {
            switch (said.id, said.values[0]) {
            case (.tlsName, .text(let host)):
                // An address has brackets only where a port may follow.
                tls.name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
            case (.serverCA, .text(let path)): tls.authorities = FileSettings(path: path, location: said.words[0].location)
            case (.shownCertificate, .text(let chain)):
                guard case .text(let key) = said.values[1] else { continue }
                var certificate = CertificateSettings(
                    chain: chain, key: key, location: said.words[0].location, keyLocation: said.words[1].location)
                if case .text(let passphrase) = said.option("passphrase") { certificate.passphrase = passphrase }
                tls.certificate = certificate
            case (.minVersion, .text(let version)): tls.minVersion = version == "1.3" ? .v1_3 : .v1_2
            case (.verify, .text(let word)):
                tls.verifies = word == "on"
                if !tls.verifies {
                    diagnostics.warning(at: said.words[0], "whoever stands between here and the servers can read and change all requests")
                }
            default: break
            }
        }
        return tls
    }
}
