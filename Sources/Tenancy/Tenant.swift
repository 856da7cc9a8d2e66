import Base
import Configuration
import Crypto

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
    /// What is looked for in its requests: what the tenant or one of its routes asks for. Empty: `Authorization` and
    /// `X-API-Key` are its application's.
    public let examined: CredentialSet
    /// The place of its first key in the directory's table.
    public let firstKey: Int
    /// Longest path first; the last one is the tenant itself with path `/`.
    public let routes: [Route]
    /// The settings it was made from: a reload compares them.
    public let settings: TenantSettings

    /// - Parameters:
    ///   - firstKey: the place of its first key in the directory's table.
    ///   - claimFields: names of fields that only the gateway may write, for they carry a token's claims.
    ///   - upstream: the index of an upstream's instance for this tenant.
    public init(
        _ settings: TenantSettings, index: Int, firstKey: Int = 0, claimFields: [String] = [], upstream: (Int) -> Int
    ) {
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
        var routes = settings.routes.enumerated().map { Route($1, number: $0, in: settings, claimFields, upstream: upstream) }
        if !routes.contains(where: { $0.path == [0x2F] }) {
            var all = RouteSettings(path: "/", location: settings.location)
            all.upstream = settings.upstream
            all.authenticate = settings.authenticate
            routes.append(Route(all, number: nil, in: settings, claimFields, upstream: upstream))
        }
        examined = routes.reduce(CredentialSet(settings.authenticate)) { $0.union($1.methods) }
        self.firstKey = firstKey
        self.routes = routes.sorted { $0.path.count > $1.path.count }
    }

    /// Its requests must come with a client certificate.
    public var wantsCertificate: Bool { !settings.clientCertificates.isEmpty }

    /// Whether this is one of the certificates that its requests must come with.
    func accepts(_ certificate: ClientCertificate) -> Bool {
        settings.clientCertificates.contains { wanted in
            switch wanted {
            case .any: true
            case .fingerprint(let digest): Digest256(digest) == certificate.fingerprint
            case .subject(let subject): certificate.subject.elementsEqual(subject.utf8)
            }
        }
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
    /// A request must prove one of these; empty: the host is enough.
    public let methods: CredentialSet
    public let requestEdits: HeaderEdits
    public let responseEdits: HeaderEdits

    init(
        _ settings: RouteSettings, number: Int?, in tenant: TenantSettings, _ claimFields: [String], upstream: (Int) -> Int
    ) {
        var path = Array(settings.path.utf8)
        while path.count > 1, path.last == 0x2F { path.removeLast() }
        self.path = path
        self.number = number
        self.upstream = (settings.upstream ?? tenant.upstream).map(upstream)
        responseTimeout = settings.responseTimeout
        maxBody = settings.maxBody ?? tenant.maxBody
        methods = CredentialSet(settings.authenticate)
        requestEdits = HeaderEdits(tenant.requestHeaders, settings.requestHeaders, alsoRemoved: claimFields)
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
    /// Folded names that are removed wherever they come from.
    public let removed: [[UInt8]]
    /// Whole header lines.
    public let added: [UInt8]

    /// The second list comes on top of the first.
    init(_ base: [HeaderChange], _ top: [HeaderChange], alsoRemoved: [String] = []) {
        var changes: [HeaderChange] = []
        for change in base + top {
            let name = change.name.asciiLowercased
            changes.removeAll { $0.name.asciiLowercased == name }
            changes.append(change)
        }
        removed = (changes.map(\.name) + alsoRemoved).map { $0.utf8.map(Self.fold) }
        added = changes.flatMap { change in change.value.map { Array("\(change.name): \($0)\r\n".utf8) } ?? [] }
    }

    @inlinable
    public func removes(_ name: UnsafeRawBufferPointer) -> Bool {
        for candidate in removed where candidate.count == name.count {
            var same = true
            for i in 0..<name.count where Self.fold(name[i]) != candidate[i] {
                same = false
                break
            }
            if same { return true }
        }
        return false
    }

    /// Those trailer lines (each with its CRLF) that may follow: what is taken out of a head can't come behind the body.
    public func kept(of lines: [UInt8]) -> [UInt8] {
        if removed.isEmpty || lines.isEmpty { return lines }
        return lines.withUnsafeBytes { lines in
            var kept: [UInt8] = []
            var start = 0
            while start < lines.count {
                let end = lines[start...].firstIndex(of: ASCII.lf).map { $0 + 1 } ?? lines.count
                let line = lines[start..<end]
                let name = line.prefix { $0 != 0x3A }
                if !removes(UnsafeRawBufferPointer(rebasing: name)) { kept += line }
                start = end
            }
            return kept
        }
    }

    /// Upstream frameworks make the variable of `X-User-Id` out of `X_User_Id` too, so all punctuation counts as one.
    @inlinable @inline(__always)
    static func fold(_ byte: UInt8) -> UInt8 {
        ASCII.isAlpha(byte) || ASCII.isDigit(byte) ? ASCII.lowercase(byte) : 0x2D
    }
}
