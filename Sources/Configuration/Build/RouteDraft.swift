/// A route as its block says it. What it becomes depends on the tenant that it is for.
struct RouteDraft {
    var settings: RouteSettings
    /// Its path, for messages.
    let word: Word
    var layer = Layer()
    var hasUpstream = false
    var hasAuthenticate = false

    /// It lets less than everybody pass.
    var guards: Bool {
        !settings.requirements.isEmpty || !settings.authenticate.isEmpty || settings.decision != nil
            || layer.door.addresses?.contains { !$0.allows } == true
    }

    /// For a tenant with this layer, which `defaults` and its plan are under.
    func route(of tenant: TenantSettings, _ tenantLayer: Layer) -> RouteSettings {
        var route = settings
        if !hasUpstream { route.upstream = tenant.upstream }
        if !hasAuthenticate { route.authenticate = tenant.authenticate }
        route.usage = layer.usage.asOwn(beside: tenantLayer.usage).settings
        let merged = tenantLayer.under(layer)
        (route.maxBody, route.door) = (merged.maxBody, merged.door)
        route.choosesAddresses = layer.door.addresses != nil
        (route.requestHeaders, route.responseHeaders) = (merged.requestHeaders, merged.responseHeaders)
        return route
    }
}

/// The routes of one block, in its order.
struct RouteDrafts {
    private(set) var all: [RouteDraft] = []
    /// Places of those with one path.
    private var places: [Substring: [Int]] = [:]

    mutating func add(_ draft: RouteDraft) {
        places[draft.settings.key, default: []].append(all.count)
        all.append(draft)
    }

    /// One that stands here already, and that is asked first whenever `route` could match.
    func first(hiding route: RouteSettings) -> RouteDraft? {
        places[route.key]?.lazy.map { all[$0] }.first { earlier in
            earlier.settings.isExact == route.isExact && route.isWithin(earlier.settings)
                && earlier.settings.conditions.count == route.conditions.count
        }
    }

    /// One that takes all that a route of a block behind this one could match.
    func first(taking route: RouteSettings) -> RouteDraft? { first(above: route) { route.isWithin($0.settings) } }

    /// One for a shorter path that is asked before a route of a block behind this one, whatever else it wants.
    func first(before route: RouteSettings) -> RouteDraft? {
        first(above: route) { !$0.settings.isExact && $0.settings.path != route.path }
    }

    /// One that keeps those out who ask by HEAD for what `route` is about.
    func first(guardingHEADOf route: RouteSettings) -> RouteDraft? {
        first(above: route) {
            $0.guards && ($0.settings.isExact == route.isExact || route.isExact) && $0.settings.conditions.takesHEAD
        }
    }

    /// Of those for its path and for shorter ones.
    private func first(above route: RouteSettings, where holds: (RouteDraft) -> Bool) -> RouteDraft? {
        var key = route.key
        while true {
            if let found = places[key]?.lazy.map({ all[$0] }).first(where: holds) { return found }
            guard let slash = key.lastIndex(of: "/") else { return nil }
            key = key[..<slash]
        }
    }
}

extension RouteSettings {
    /// What those have in common that are about one path.
    fileprivate var key: Substring { isExact ? path[...] : prefix }

    /// It is about GET, and leaves HEAD to others, which servers take for the same.
    var splitsGET: Bool { conditions.methods.contains("GET") && !conditions.takesHEAD }

    /// It leaves nothing for others to match.
    var isForAll: Bool { !isExact && path == "/" && conditions.isEmpty }
}

extension RouteConditions {
    fileprivate var takesHEAD: Bool { methods.isEmpty || methods.contains("HEAD") }
}
