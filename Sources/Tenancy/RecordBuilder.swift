import Base
import Configuration

/// Makes the records of one directory. What many tenants have in common (a plan's headers, the route of all paths) lies
/// there once: it is then in the processor's caches whoever asks.
struct RecordBuilder {
    private struct Edits: Hashable {
        var base: [HeaderChange]
        var top: [HeaderChange]
        var alsoRemoved: [String]
    }

    private let memory: RecordMemory
    private var edits: [Edits: UnsafePointer<HeaderEdits.Record>] = [:]
    private var soleRoutes: [Route.Record: UnsafePointer<Route.Record>] = [:]
    private let root: UnsafeRawBufferPointer

    init(_ memory: RecordMemory) {
        self.memory = memory
        root = memory.keep([0x2F])
    }

    /// - Parameters:
    ///   - firstKey: the place of its first key in the directory's table.
    ///   - claimFields: names of fields that only the gateway may write, for they carry a token's claims.
    ///   - upstream: the index of an upstream's instance for this tenant.
    mutating func tenant(
        _ settings: UnsafePointer<TenantSettings>, index: Int, firstKey: Int, claimFields: [String], upstream: (Int) -> Int
    ) -> Tenant.Record {
        let own = settings.pointee
        var routes: [Route.Record] = []
        for (number, one) in own.routes.enumerated() {
            routes.append(route(one, number: Int32(number), of: own, claimFields, upstream))
        }
        if !routes.contains(where: { $0.pathCount == 1 }) {
            var all = RouteSettings(path: "/", location: own.location)
            all.upstream = own.upstream
            all.authenticate = own.authenticate
            routes.append(route(all, number: -1, of: own, claimFields, upstream))
        }
        let examined = routes.reduce(CredentialSet(own.authenticate)) { $0.union(CredentialSet(rawValue: $1.methods)) }
        routes.sort { $0.pathCount > $1.pathCount }
        return Tenant.Record(
            identityFields: memory.keep(Tenant.identityFields(of: own)), routes: keep(routes), routeCount: Int32(routes.count),
            index: Int32(index), firstKey: Int32(firstKey), weight: Int32(clamping: own.weight), examined: examined,
            suspended: own.suspended, wantsCertificate: !own.clientCertificates.isEmpty, settings: settings,
            responseEdits: headerEdits(own.responseHeaders, [], []))
    }

    private mutating func keep(_ routes: [Route.Record]) -> UnsafePointer<Route.Record> {
        guard routes.count == 1 else { return UnsafePointer(memory.keep(routes)) }
        if let known = soleRoutes[routes[0]] { return known }
        let kept = UnsafePointer(memory.keep(routes))
        soleRoutes[routes[0]] = kept
        return kept
    }

    private mutating func route(
        _ settings: RouteSettings, number: Int32, of tenant: TenantSettings, _ claimFields: [String], _ upstream: (Int) -> Int
    ) -> Route.Record {
        var path = root
        if settings.path != "/" {
            var bytes = Array(settings.path.utf8)
            while bytes.count > 1, bytes.last == 0x2F { bytes.removeLast() }
            path = memory.keep(bytes)
        }
        return Route.Record(
            path: path.baseAddress!, pathCount: Int32(path.count), number: number,
            upstream: (settings.upstream ?? tenant.upstream).map { Int32(upstream($0)) } ?? -1,
            responseTimeout: settings.responseTimeout ?? 0, maxBody: settings.maxBody ?? tenant.maxBody ?? .max,
            methods: CredentialSet(settings.authenticate).rawValue,
            requestEdits: headerEdits(tenant.requestHeaders, settings.requestHeaders, claimFields),
            responseEdits: headerEdits(tenant.responseHeaders, settings.responseHeaders, []))
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
