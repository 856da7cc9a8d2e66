/// What works and is probably not meant. Of a file with errors nothing of this is said: what seems to be unused may be what
/// was misspelt.
extension Builder {
    func doubt() {
        guard diagnostics.errorCount == 0 else { return }
        doubtUnused()
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
            for route in tenant.routes {
                use(route.upstream)
                use(route.mirrored)
                for split in route.splits { use(split) }
            }
        }
        for (upstream, isUsed) in zip(settings.hot.upstreams, isUsed) where !isUsed {
            diagnostics.warning(
                at: upstream.location, length: upstream.name.utf8.count,
                "upstream \(quoted(upstream.name)) is used by no tenant")
        }
    }
}
