/// What requests for one path, or for all below it, get where they meet all of its conditions.
public struct RouteSettings: Sendable {
    /// Whose block it stands in. A tenant's own are looked at first, the first one that matches holds.
    public enum Source: UInt8, Sendable, Hashable, Comparable {
        case tenant, plan, defaults
        public static func < (a: Source, b: Source) -> Bool { a.rawValue < b.rawValue }
    }

    /// Starts with `/`. A prefix of whole segments: `/reports` and `/reports/` match `/reports/x`, never `/reportsx`.
    public var path: String
    /// It is about just this path, as it stands.
    public var isExact = false
    public var conditions = RouteConditions()
    public var source = Source.tenant
    /// The tenant's where the route names none.
    public var upstream: Int?
    /// nil: the upstream's.
    public var responseTimeout: UInt64?
    /// The tenant's where the route sets none.
    public var maxBody: UInt64?
    /// Limits of its own, beside the tenant's; how requests are counted is the tenant's where it says nothing.
    public var usage = UsageSettings()
    /// The tenant's where the route sets none.
    public var authenticate: [AuthenticationMethod] = []
    /// What a consumer must have, each of them.
    public var requirements: [RouteRequirement] = []
    /// The tenant's where the route says nothing.
    public var door = DoorSettings()
    public var way = WaySettings()
    /// Indices of the upstreams that `way` splits to, in its order.
    public var splits: [Int] = []
    /// nil: requests go to an upstream.
    public var answer: OwnAnswerSettings?
    public var faults = FaultSettings()
    /// nil: nobody else is asked.
    public var decision: DecisionSettings?
    /// nil: there are no copies.
    public var mirror: MirrorSettings?
    /// Index of the upstream that gets them.
    public var mirrored: Int?
    /// It says itself which addresses may come.
    public var choosesAddresses = false
    /// Those of the tenant with the route's on top: these alone are applied.
    public var requestHeaders: [HeaderChange] = []
    public var responseHeaders: [HeaderChange] = []
    public var location: Location
    public init(path: String, location: Location) { (self.path, self.location) = (path, location) }

    /// What is matched, as a file says it: `= /status method=GET`.
    public var name: String {
        let start = isExact ? "= \(path)" : path
        return conditions.isEmpty ? start : "\(start) \(conditions)"
    }

    /// The name of its counters: of two that may hold for one tenant, no two are the same.
    public var meterName: String {
        switch source {
        case .tenant: name
        case .plan: "plan \(name)"
        case .defaults: "defaults \(name)"
        }
    }

    /// Bytes that a path begins with: without the slash at the end that means the same.
    public var prefix: Substring { path.hasSuffix("/") ? path.dropLast() : path[...] }

    /// Whether all that this one matches is matched by `other` too.
    public func isWithin(_ other: RouteSettings) -> Bool {
        guard other.conditions.isImplied(by: conditions) else { return false }
        if other.isExact { return isExact && path == other.path }
        let (mine, others) = (isExact ? path[...] : prefix, other.prefix)
        return mine == others || mine.hasPrefix(others + "/")
    }
}

extension RouteSettings: Equatable {
    /// Whether they do the same, wherever they stand; upstreams are compared by whoever knows their names.
    public static func == (a: RouteSettings, b: RouteSettings) -> Bool {
        a.path == b.path && a.isExact == b.isExact && a.conditions == b.conditions && a.source == b.source
            && a.responseTimeout == b.responseTimeout && a.maxBody == b.maxBody && a.usage == b.usage
            && a.authenticate == b.authenticate && a.requirements == b.requirements
            && a.door == b.door && a.way == b.way && a.answer == b.answer && a.faults == b.faults
            && a.decision == b.decision && a.mirror == b.mirror
            && a.requestHeaders == b.requestHeaders && a.responseHeaders == b.responseHeaders
    }
}

/// What a request must be like beside its path: all that stands here.
public struct RouteConditions: Sendable, Hashable, CustomStringConvertible {
    /// One of these; empty: any.
    public var methods: [String] = []
    /// Fields that it has, names in lower case.
    public var headers: [Condition] = []
    /// Parameters of its query.
    public var query: [Condition] = []
    public init() {}

    public struct Condition: Sendable, Hashable, CustomStringConvertible {
        public var name: String
        /// nil: whatever it says.
        public var value: String?
        public init(name: String, value: String?) { (self.name, self.value) = (name, value) }
        public var description: String { value.map { "\(name):\($0)" } ?? name }

        /// Whether it holds wherever `other` does.
        func isImplied(by other: Condition) -> Bool { name == other.name && (value == nil || value == other.value) }
    }

    public var isEmpty: Bool { count == 0 }
    /// Of two routes for one path that with more of them is looked at first.
    public var count: Int { (methods.isEmpty ? 0 : 1) + headers.count + query.count }

    public var description: String {
        let words = methods.isEmpty ? [] : ["method=" + methods.joined(separator: ",")]
        return (words + headers.map { "header=\($0)" } + query.map { "query=\($0)" }).joined(separator: " ")
    }

    /// Whether they hold wherever `others` do.
    func isImplied(by others: RouteConditions) -> Bool {
        (methods.isEmpty || !others.methods.isEmpty && others.methods.allSatisfy(methods.contains))
            && headers.allSatisfy { one in others.headers.contains(where: one.isImplied) }
            && query.allSatisfy { one in others.query.contains(where: one.isImplied) }
    }
}

/// `require role=a,b scope=c;`: one of the roles, and each of the scopes.
public struct RouteRequirement: Sendable, Hashable {
    /// One of these; empty: none is asked for.
    public var roles: [String]
    /// Each of these.
    public var scopes: [String]
    public init(roles: [String], scopes: [String]) { (self.roles, self.scopes) = (roles, scopes) }
}
