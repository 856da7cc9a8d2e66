/// What admission said.
public struct Verdict: Sendable, Equatable {
    /// The kind of limit that has to be waited for longest.
    public enum Reason: Sendable { case rate, quota, concurrency }

    /// nil: the request is in.
    public var reason: Reason?
    /// Nanoseconds until all limits that refused would let such a request in; a guess where only an end of others can tell.
    public var wait: UInt64 = 0
    /// Nanoseconds in which a limit that refused would fill up: whoever stays away for less wastes nothing of it.
    public var refill: UInt64 = 0
    /// The limits that refused: eight bits for the tenant's, then the key's, then the route's.
    public var violated: UInt32 = 0

    public var isAdmitted: Bool { reason == nil }

    /// Admitted, by no limit.
    public init() {}

    /// Whole seconds for `Retry-After`: who waits that long gets in. At least 1.
    public var retryAfter: UInt64 { max(1, (wait &+ 999_999_999) / 1_000_000_000) }

    mutating func refuse(_ bit: UInt32, _ reason: Reason, wait: UInt64, refill: UInt64) {
        violated |= bit
        if self.reason == nil || wait > self.wait {
            self.reason = reason
            self.wait = wait
        }
        self.refill = max(self.refill, refill)
    }
}

/// What a request took, from its admission to its settlement.
public struct Admission: Sendable {
    let tenant: Level
    let key: Level?
    let route: Level?
    nonisolated(unsafe) let terms: UnsafePointer<Terms.Record>
    /// Of the limits: as in `Verdict.violated`.
    var taken: UInt32 = 0
    let cost: UInt64
    /// When the periods end that were counted in, in hours since 1970.
    var hour: UInt64 = 0
    var day: UInt64 = 0
    var month: UInt64 = 0
    /// Counted as admitted, and not settled yet.
    public internal(set) var isOpen = false
    let resetDay: Int

    @inline(__always)
    init(tenant: Level, key: Level?, terms: UnsafePointer<Terms.Record>) {
        (self.tenant, self.key, self.terms) = (tenant, key, terms)
        route = terms.pointee.level
        cost = terms.pointee.cost
        resetDay = tenant.rules.pointee.resetDay
    }

    /// The limits and terms must outlive it.
    public init(tenant: LimitSet, key: LimitSet?, terms: Terms) {
        self.init(tenant: tenant.level, key: key?.level, terms: terms.record)
    }

    /// 0 the tenant's, 1 the key's, 2 the route's.
    @inline(__always)
    func level(_ number: Int) -> Level? {
        switch number {
        case 0: tenant
        case 1: key
        default: route
        }
    }

    /// Asks for what settlement will touch.
    @inline(__always)
    public func prefetch() { for number in 0..<3 { level(number)?.prefetch() } }

    /// A response field that says what the request has cost, in lower case; empty for none.
    @inline(__always)
    public var costHeader: UnsafeRawBufferPointer { terms.pointee.costHeader }
}

/// How an admitted request ended.
public struct Outcome: Sendable {
    /// What the client was told, or 499 when it did not wait.
    public var status: Int
    /// Something of it was sent to an upstream.
    public var wasForwarded: Bool
    /// The status is the gateway's own.
    public var isOwnAnswer: Bool
    /// Bytes of the bodies.
    public var requestBytes: UInt64
    public var responseBytes: UInt64
    public var upstreamMicroseconds: UInt64
    /// What the upstream says that it has cost.
    public var declaredCost: UInt64?

    public init(
        status: Int, wasForwarded: Bool, isOwnAnswer: Bool, requestBytes: UInt64 = 0, responseBytes: UInt64 = 0,
        upstreamMicroseconds: UInt64 = 0, declaredCost: UInt64? = nil
    ) {
        (self.status, self.wasForwarded, self.isOwnAnswer) = (status, wasForwarded, isOwnAnswer)
        (self.requestBytes, self.responseBytes) = (requestBytes, responseBytes)
        (self.upstreamMicroseconds, self.declaredCost) = (upstreamMicroseconds, declaredCost)
    }
}
