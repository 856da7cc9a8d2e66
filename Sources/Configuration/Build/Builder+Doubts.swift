/// What works and is probably not meant. Of a file with errors nothing of this is said: what seems to be unused may be what
/// was misspelt.
extension Builder {
    func doubt() {
        guard diagnostics.errorCount == 0 else { return }
        doubtUnused()
        doubtCircles()
    }

    /// The word of an option, as `timeout=1s`.
    func optionWord(_ name: String, of item: Checked) -> Word? {
        checker.tree.arguments(of: checker.tree.statements[item.statement]).first {
            $0.optionName.map(String.init) == name
        }
    }

    private func doubtUnused() {
        var isUsed = [Bool](repeating: false, count: settings.hot.upstreams.count)
        func use(_ upstream: Int?) { if let upstream { isUsed[upstream] = true } }
        use(defaults.upstream)
        for tenant in settings.hot.tenants {
            use(tenant.upstream)
            for route in tenant.routes { use(route.upstream) }
        }
        for (upstream, isUsed) in zip(settings.hot.upstreams, isUsed) where !isUsed {
            diagnostics.warning(
                at: upstream.location, length: upstream.name.utf8.count,
                "upstream \(quoted(upstream.name)) is used by no tenant")
        }
    }

    /// Servers that are this gateway: their requests come back until they have passed too often.
    private func doubtCircles() {
        let own =
            settings.hot.listeners.map { ($0.endpoint, $0.location) }
            + [settings.hot.admin].compactMap { $0 }.compactMap { admin in settings.places.admin.map { (admin, $0) } }
        for server in settings.hot.upstreams.lazy.flatMap(\.servers) {
            let isLoopback = server.host == "localhost" || IPAddress(server.host)?.isLoopback == true
            for (endpoint, location) in own where endpoint.port == server.port {
                guard
                    endpoint.host == server.host || (isLoopback && (endpoint.host == nil || server.host == "localhost"))
                else { continue }
                diagnostics.warning(
                    at: server.location, length: server.host.utf8.count + 1 + String(server.port).utf8.count,
                    "this server is the gateway itself, which listens there (\(place(location)))")
            }
        }
    }
}
