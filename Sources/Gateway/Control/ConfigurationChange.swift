import Admin
import Configuration

extension ReloadChange {
    /// What differs between two configurations, in the operator's words.
    init(from old: Settings, to new: Settings) {
        self.init()
        let (tenants, before) = (new.hot.tenants, old.hot.tenants)
        // Most configurations begin like the one before: those need no looking for.
        var alike = 0
        while alike < min(tenants.count, before.count), tenants[alike].id == before[alike].id { alike += 1 }
        var places: [String: Int] = [:]
        places.reserveCapacity(before.count - alike)
        for place in alike..<before.count { places[before[place].id] = place }
        for (place, tenant) in tenants.enumerated() {
            guard let was = place < alike ? place : places.removeValue(forKey: tenant.id) else {
                added.append(tenant.id)
                continue
            }
            if !tenant.isSame(as: before[was], in: new.hot, before: old.hot) { changed.append(tenant.id) }
        }
        removed = places.keys.sorted()
        added.sort()
        changed.sort()
        if old.cold.state != new.cold.state { warnings.append("`state` takes effect at the next start") }
    }
}

extension TenantSettings {
    fileprivate func isSame(as other: TenantSettings, in new: HotSettings, before old: HotSettings) -> Bool {
        let (upstreams, before) = (new.upstreams, old.upstreams)
        func name(_ index: Int?, _ list: [UpstreamSettings]) -> String? { index.map { list[$0].name } }
        return plan == other.plan && hosts == other.hosts && namespace == other.namespace && suspended == other.suspended
            && maxBody == other.maxBody && weight == other.weight && bounds == other.bounds
            && usage == other.usage && prices == other.prices
            && features == other.features
            && settings.map(\.name) == other.settings.map(\.name) && settings.map(\.value) == other.settings.map(\.value)
            && requestHeaders == other.requestHeaders && responseHeaders == other.responseHeaders
            && name(upstream, upstreams) == name(other.upstream, before)
            && authenticate == other.authenticate && keys == other.keys
            && clientCertificates == other.clientCertificates && issuers.map { new.issuers[$0] } == other.issuers.map { old.issuers[$0] }
            && routes.count == other.routes.count
            && routesOnly == other.routesOnly && strictPaths == other.strictPaths && door == other.door
            && zip(routes, other.routes).allSatisfy { $0 == $1 && name($0.upstream, upstreams) == name($1.upstream, before) }
    }
}
