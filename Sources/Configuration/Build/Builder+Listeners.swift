import Base

extension Builder {
    mutating func takeListener(_ item: Checked, _ endpoint: Endpoint) {
        let name = checker.tree.statements[item.statement].name
        let hasTLS = item.words.count > 1
        var tls = TLSSettings()
        var protocols: [String]?
        var proxyWord: Word?
        var httpsPort: UInt16?
        let block = checker.block(of: item)
        for said in block.items {
            let word = checker.tree.statements[said.statement].name
            if !hasTLS, said.id != .protocols, said.id != .takesProxy, said.id != .redirectsToHTTPS {
                diagnostics.error(
                    at: word, "\(quoted(word.text)) needs a listener with `tls`",
                    suggestion: "write `listen \(item.words[0].text) tls { ... }`")
                continue
            }
            switch said.id {
            case .certificate:
                guard case .text(let chain) = said.values[0], case .text(let key) = said.values[1] else { continue }
                var certificate = CertificateSettings(
                    chain: chain, key: key, location: said.words[0].location, keyLocation: said.words[1].location)
                if case .text(let passphrase) = said.option("passphrase") { certificate.passphrase = passphrase }
                tls.certificates.append(certificate)
            case .takesProxy: proxyWord = said.words[0].text == "on" ? word : nil
            case .redirectsToHTTPS where hasTLS:
                diagnostics.error(at: word, "what comes here is https already: this would go in circles", suggestion: "leave it out")
            case .redirectsToHTTPS:
                httpsPort = 443
                if case .number(let port)? = said.option("port") { httpsPort = UInt16(clamping: port) }
            case .protocols: protocols = said.words.map(\.text)
            case .clientCA:
                guard case .text(let path) = said.values[0] else { continue }
                tls.clientAuthorities = FileSettings(path: path, location: said.words[0].location)
            case .minVersion: tls.minVersion = said.words[0].text == "1.3" ? .v1_3 : .v1_2
            default: break
            }
        }
        if hasTLS, block.lacks(.certificate) {
            diagnostics.error(
                at: name, "a listener with `tls` needs a certificate", suggestion: "add `certificate CHAIN KEY;`")
        }
        guard isFree(endpoint, item.words[0]) else { return }
        var listener = ListenerSettings(endpoint: endpoint, tls: hasTLS ? tls : nil, location: item.words[0].location)
        if let protocols { listener.protocols = protocols }
        (listener.takesProxy, listener.httpsPort) = (proxyWord != nil, httpsPort)
        if let proxyWord { proxyWords.append(proxyWord) }
        settings.hot.listeners.append(listener)
    }

    mutating func takeAdmin(_ item: Checked, _ endpoint: Endpoint) {
        if endpoint.host.flatMap(IPAddress.init)?.isLoopback != true {
            diagnostics.warning(
                at: item.words[0], "the admin listener can be reached from other machines",
                suggestion: "write 127.0.0.1:\(endpoint.port)")
        }
        guard isFree(endpoint, item.words[0]) else { return }
        (settings.hot.admin, settings.places.admin) = (endpoint, item.words[0].location)
        for case .text(let host) in item.allOptions("host") { settings.hot.adminHosts.append(host) }
    }

    /// Whether nobody listens there yet. `*:80` and `127.0.0.1:80` are two addresses: the kernel gives a connection to the
    /// one that says more.
    private mutating func isFree(_ endpoint: Endpoint, _ word: Word) -> Bool {
        if let earlier = endpoints.updateValue(word.location, forKey: endpoint) {
            endpoints[endpoint] = earlier
            diagnostics.error(at: word, "address \(quoted(word.text)) is taken already (\(place(earlier)))")
            return false
        }
        return true
    }

    /// The admin listener shares its port with nobody, so that no second gateway takes its requests.
    private func checkAdminAddress() {
        guard let admin = settings.hot.admin, let place = settings.places.admin,
            let other = settings.hot.listeners.first(where: { $0.endpoint.overlaps(admin) })
        else { return }
        diagnostics.error(
            at: place, length: admin.label.utf8.count,
            "the admin listener can't have `\(admin.label)` beside `listen \(other.endpoint.label)` (\(self.place(other.location)))")
    }

    func checkListeners(_ top: Block) {
        for word in proxyWords where settings.hot.trustedProxies.isEmpty {
            diagnostics.warning(
                at: word, "every connection is closed: no address may send a PROXY header",
                suggestion: "add `trusted_proxies ADDRESS;`")
        }
        checkAdminAddress()
        // With other mistakes around, the listener may be what was misspelt.
        guard top.lacks(.listen), diagnostics.errorCount == 0 else { return }
        diagnostics.error(
            at: Location(file: 0, line: 1, column: 1), "there is no listener",
            suggestion: "add `listen 127.0.0.1:8080;`")
    }
}
