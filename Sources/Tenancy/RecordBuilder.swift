import Base
import Configuration

/// Makes the records of one directory. What many tenants have in common (a plan's headers, the route of all paths) lies
/// there once: it is then in the processor's caches whoever asks.
struct RecordBuilder {
    private struct WayKey: Hashable {
        var settings: WaySettings
        var prefix: Substring
        var isExact: Bool
        var upstreams: [Int]
    }

    private struct Edits: Hashable {
        var base: [HeaderChange]
        var top: [HeaderChange]
        var alsoRemoved: [String]
    }

    private struct Acts: Hashable {
        var answer: OwnAnswerSettings?
        var faults: FaultSettings
        var decision: DecisionSettings?
        /// The name of the route's counters, where somebody else decides.
        var route: String?
        /// Names of fields that carry a token's claims, likewise.
        var claimFields: [String]
        var mirror: MirrorSettings?
        var mirrored: Int?

        init(_ settings: RouteSettings, _ claimFields: [String], mirrored: Int?) {
            (answer, faults, decision, mirror) = (settings.answer, settings.faults, settings.decision, settings.mirror)
            self.claimFields = settings.decision == nil ? [] : claimFields
            (route, self.mirrored) = (settings.decision == nil ? nil : settings.meterName, mirrored)
        }

        var isNothing: Bool { answer == nil && faults == FaultSettings() && decision == nil && mirror == nil }
    }

    private let memory: RecordMemory
    private var edits: [Edits: UnsafePointer<HeaderEdits.Record>] = [:]
    private var soleRoutes: [Route.Record: UnsafePointer<Route.Record>] = [:]
    private var tables: [[RouteTable.Entry]: UnsafePointer<RouteTable.Record>] = [:]
    private var ways: [WayKey: UnsafePointer<Way.Record>] = [:]
    private var conditions: [RouteConditions: UnsafePointer<RequestConditions.Record>] = [:]
    private var doors: [DoorSettings: UnsafePointer<Door.Record>] = [:]
    private var acts: [Acts: UnsafePointer<RouteActs.Record>] = [:]
    private var requirements: [[RouteRequirement]: UnsafePointer<Requirements.Record>] = [:]

    init(_ memory: RecordMemory) { self.memory = memory }

    /// - Parameters:
    ///   - firstKey: the place of its first key in the directory's table.
    ///   - claimFields: names of fields that only the gateway may write, for they carry a token's claims.
    ///   - upstream: the index of an upstream's instance for this tenant.
    mutating func tenant(
        _ settings: UnsafePointer<TenantSettings>, index: Int, firstKey: Int, claimFields: [String], upstream: (Int) -> Int
    ) -> Tenant.Record {
        let own = settings.pointee
        var entries: [RouteTable.Entry] = []
        for (number, one) in own.routes.enumerated() {
            let route = route(one, number: Int32(number), of: own, claimFields, upstream)
            entries.append(
                .init(path: one.path, isExact: one.isExact, weight: one.conditions.count, source: one.source, route: route))
        }
        var all = RouteSettings(path: "/", location: own.location)
        all.upstream = own.upstream
        all.authenticate = own.authenticate
        (all.requestHeaders, all.responseHeaders) = (own.requestHeaders, own.responseHeaders)
        all.door = own.door
        let unmatched = route(all, number: -1, of: own, claimFields, upstream)
        let fallback = own.routesOnly ? nil : unmatched
        let methods = (fallback.map { [$0] } ?? []) + entries.map(\.route)
        let examined = methods.reduce(CredentialSet(own.authenticate)) { $0.union(CredentialSet(rawValue: $1.methods)) }
        let (table, rest) = routes(entries, fallback)
        return Tenant.Record(
            identityFields: memory.keep(Tenant.identityFields(of: own)), fallback: rest, routes: table,
            index: Int32(index), firstKey: Int32(firstKey), weight: Int32(clamping: own.weight), examined: examined,
            suspended: own.suspended, wantsCertificate: !own.clientCertificates.isEmpty,
            hasDoor: unmatched.door != nil || entries.contains { $0.route.door != nil }, settings: settings,
            unmatched: keep(unmatched))
    }

    /// One table for each block that they stand in, and what no route is about.
    private mutating func routes(
        _ entries: [RouteTable.Entry], _ fallback: Route.Record?
    ) -> (UnsafePointer<RouteTable.Record>?, UnsafePointer<Route.Record>?) {
        // A single one for all paths leaves nothing to look for.
        if let first = entries.first, !first.isExact, first.path == "/", first.weight == 0,
            entries.count == 1 || entries[1].source != first.source
        {
            return (nil, keep(first.route))
        }
        let rest = fallback.map { keep($0) }
        if entries.isEmpty { return (nil, rest) }
        if let known = tables[entries] { return (known, rest) }
        var table: UnsafePointer<RouteTable.Record>?
        var end = entries.count
        while end > 0 {
            let start = entries[..<end].lastIndex { $0.source != entries[end - 1].source }.map { $0 + 1 } ?? 0
            table = RouteTable.make(entries[start..<end], next: table, in: memory)
            end = start
        }
        tables[entries] = table
        return (table, rest)
    }

    private mutating func keep(_ route: Route.Record) -> UnsafePointer<Route.Record> {
        if let known = soleRoutes[route] { return known }
        let kept = UnsafePointer(memory.keep([route]))
        soleRoutes[route] = kept
        return kept
    }

    private mutating func route(
        _ settings: RouteSettings, number: Int32, of tenant: TenantSettings, _ claimFields: [String], _ upstream: (Int) -> Int
    ) -> Route.Record {
        Route.Record(
            conditions: conditions(settings.conditions), requirements: requirements(settings.requirements), number: number,
            upstream: (settings.upstream ?? tenant.upstream).map { Int32(upstream($0)) } ?? -1,
            responseTimeout: settings.responseTimeout ?? 0, maxBody: settings.maxBody ?? tenant.maxBody ?? .max,
            methods: CredentialSet(settings.authenticate).rawValue,
            isStrict: tenant.strictPaths ?? (!settings.requirements.isEmpty || settings.choosesAddresses || settings.decision != nil),
            door: door(settings.door), way: way(settings, upstream),
            acts: acts(Acts(settings, claimFields, mirrored: settings.mirrored.map(upstream))),
            requestEdits: headerEdits(tenant.requestHeaders, settings.requestHeaders, claimFields),
            responseEdits: headerEdits(tenant.responseHeaders, settings.responseHeaders, []))
    }

    private mutating func conditions(_ settings: RouteConditions) -> UnsafePointer<RequestConditions.Record>? {
        if settings.isEmpty { return nil }
        if let known = conditions[settings] { return known }
        let record = RequestConditions.Record(
            methods: memory.list(settings.methods.map { memory.keep(Array($0.utf8)) }),
            headers: memory.list(settings.headers.map { condition($0, $0.name.utf8.map(HeaderEdits.fold)) }),
            query: memory.list(settings.query.map { condition($0, Array($0.name.utf8)) }))
        let kept = UnsafePointer(memory.keep([record]))
        conditions[settings] = kept
        return kept
    }

    private func condition(_ settings: RouteConditions.Condition, _ name: [UInt8]) -> RequestConditions.Condition {
        let anything = UnsafeRawBufferPointer(start: nil, count: 0)
        return RequestConditions.Condition(
            name: memory.keep(name), value: settings.value.map { memory.keep(Array($0.utf8)) } ?? anything)
    }

    private mutating func requirements(_ settings: [RouteRequirement]) -> UnsafePointer<Requirements.Record>? {
        if settings.isEmpty { return nil }
        if let known = requirements[settings] { return known }
        let lines = settings.map { one in
            Requirements.Line(
                roles: memory.list(one.roles.map { memory.keep(Array($0.utf8)) }),
                scopes: memory.list(one.scopes.map { memory.keep(Array($0.utf8)) }))
        }
        let kept = UnsafePointer(memory.keep([Requirements.Record(lines: memory.list(lines))]))
        requirements[settings] = kept
        return kept
    }

    private mutating func way(_ settings: RouteSettings, _ upstream: (Int) -> Int) -> UnsafePointer<Way.Record>? {
        if settings.way.isPlain { return nil }
        let upstreams = settings.splits.map(upstream)
        let key = WayKey(settings: settings.way, prefix: settings.prefix, isExact: settings.isExact, upstreams: upstreams)
        if let known = ways[key] { return known }
        let kept = Way.make(settings, upstreams, in: memory)
        ways[key] = kept
        return kept
    }

    private mutating func acts(_ settings: Acts) -> UnsafePointer<RouteActs.Record>? {
        if settings.isNothing { return nil }
        if let known = acts[settings] { return known }
        let answer = settings.answer.map { OwnAnswer.make($0, in: memory) }
        let faults = settings.faults == FaultSettings() ? nil : PlannedFaults.make(settings.faults, in: memory)
        let claims = headerEdits([], [], settings.claimFields)
        let decision = settings.decision.map { DecisionRule.make($0, of: settings.route ?? "", claims: claims, in: memory) }
        let mirror = settings.mirror.map { MirrorRule.make($0, upstream: settings.mirrored ?? 0, in: memory) }
        let kept = UnsafePointer(
            memory.keep([RouteActs.Record(answer: answer, faults: faults, decision: decision, mirror: mirror)]))
        acts[settings] = kept
        return kept
    }

    private mutating func door(_ settings: DoorSettings) -> UnsafePointer<Door.Record>? {
        if settings.isOpen { return nil }
        if let known = doors[settings] { return known }
        let kept = Door.make(settings, in: memory)
        doors[settings] = kept
        return kept
    }

    /// The second list comes on top of the first.
    private mutating func headerEdits(
        _ base: [HeaderChange], _ top: [HeaderChange], _ alsoRemoved: [String]
    ) -> UnsafePointer<HeaderEdits.Record> {
        let key = Edits(base: base, top: top, alsoRemoved: alsoRemoved)
        if let known = edits[key] { return known }
        var changes: [HeaderChange] = []
        for change in base + top {
            let name = change.name.asciiLowercased
            changes.removeAll { $0.name.asciiLowercased == name }
            changes.append(change)
        }
        let removed = (changes.map(\.name) + alsoRemoved).map { memory.keep($0.utf8.map(HeaderEdits.fold)) }
        let added = changes.flatMap { change in change.value.map { Array("\(change.name): \($0)\r\n".utf8) } ?? [] }
        let record = HeaderEdits.Record(added: memory.keep(added), removed: memory.keep(removed), removedCount: removed.count)
        let kept = UnsafePointer(memory.keep([record]))
        edits[key] = kept
        return kept
    }
}
