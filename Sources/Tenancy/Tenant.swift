import Base
import Configuration

/// A tenant as the request path sees it: everything that can be computed ahead is. Immutable, part of one `Directory`.
public final class Tenant: Sendable {
    public let id: String
    /// Position in its directory.
    public let index: Int
    public let namespace: String
    public let plan: String?
    public let suspended: Bool
    public let weight: Int
    /// `X-Tenant-Id: ...` and its siblings, as header lines towards the upstream.
    public let identityFields: [UInt8]
    /// Longest path first; the last one is the tenant itself with path `/`.
    public let routes: [Route]
    /// The settings it was made from: a reload compares them.
    public let settings: TenantSettings

    /// - Parameter upstream: the index of an upstream's instance for this tenant.
    public init(_ settings: TenantSettings, index: Int, upstream: (Int) -> Int) {
        self.settings = settings
        self.index = index
        id = settings.id
        namespace = settings.namespace
        plan = settings.plan
        suspended = settings.suspended
        weight = settings.weight
        var fields = "X-Tenant-Id: \(settings.id)\r\nX-Tenant-Namespace: \(settings.namespace)\r\n"
        if let plan = settings.plan { fields += "X-Tenant-Plan: \(plan)\r\n" }
        if !settings.features.isEmpty { fields += "X-Tenant-Features: \(settings.features.joined(separator: ","))\r\n" }
        identityFields = Array(fields.utf8)
        var routes = settings.routes.enumerated().map { Route($1, number: $0, in: settings, upstream: upstream) }
        if !routes.contains(where: { $0.path == [0x2F] }) {
            var all = RouteSettings(path: "/", location: settings.location)
            all.upstream = settings.upstream
            routes.append(Route(all, number: nil, in: settings, upstream: upstream))
        }
        self.routes = routes.sorted { $0.path.count > $1.path.count }
    }

    /// The route with the longest path that is a prefix of whole segments of `path` (normalised).
    @inlinable
    public func route(for path: UnsafeRawBufferPointer) -> Route {
        if routes.count == 1 { return routes[0] }
        for route in routes where route.matches(path) { return route }
        return routes[routes.count - 1]
    }
}

/// What a tenant's requests below one path get.
public final class Route: Sendable {
    /// Without a slash at its end, except for `/` itself.
    public let path: [UInt8]
    /// Which of the settings' routes it is; nil is what no route is about.
    public let number: Int?
    /// Index of the upstream's instance; nil when the tenant has none here.
    public let upstream: Int?
    /// Nanoseconds; nil is the upstream's own.
    public let responseTimeout: UInt64?
    /// Bytes; nil is without limit.
    public let maxBody: UInt64?
    public let requestEdits: HeaderEdits
    public let responseEdits: HeaderEdits

    init(_ settings: RouteSettings, number: Int?, in tenant: TenantSettings, upstream: (Int) -> Int) {
        var path = Array(settings.path.utf8)
        while path.count > 1, path.last == 0x2F { path.removeLast() }
        self.path = path
        self.number = number
        self.upstream = (settings.upstream ?? tenant.upstream).map(upstream)
        responseTimeout = settings.responseTimeout
        maxBody = settings.maxBody ?? tenant.maxBody
        requestEdits = HeaderEdits(tenant.requestHeaders, settings.requestHeaders)
        responseEdits = HeaderEdits(tenant.responseHeaders, settings.responseHeaders)
    }

    @inlinable
    func matches(_ target: UnsafeRawBufferPointer) -> Bool {
        if path.count == 1 { return true }
        guard target.count >= path.count else { return false }
        for i in 0..<path.count where target[i] != path[i] { return false }
        return target.count == path.count || target[path.count] == 0x2F
    }
}

/// Fields to take out and lines to put in, of one direction.
public final class HeaderEdits: Sendable {
    /// Lower-case names that are removed wherever they come from.
    public let removed: [[UInt8]]
    /// Whole header lines.
    public let added: [UInt8]

    /// The second list comes on top of the first.
    init(_ base: [HeaderChange], _ top: [HeaderChange]) {
        var changes: [HeaderChange] = []
        for change in base + top {
            let name = change.name.asciiLowercased
            changes.removeAll { $0.name.asciiLowercased == name }
            changes.append(change)
        }
        removed = changes.map { Array($0.name.asciiLowercased.utf8) }
        added = changes.flatMap { change in change.value.map { Array("\(change.name): \($0)\r\n".utf8) } ?? [] }
    }

    @inlinable
    public func removes(_ name: UnsafeRawBufferPointer) -> Bool {
        for candidate in removed where candidate.count == name.count {
            var same = true
            for i in 0..<name.count where ASCII.lowercase(name[i]) != candidate[i] {
                same = false
                break
            }
            if same { return true }
        }
        return false
    }
}
