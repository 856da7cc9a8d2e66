import Base
import Metrics

/// What a request holds of what there is too little of: it is owed until the request, or its use of it, is over.
struct Contention {
    /// Something is owed.
    private(set) var isOwed = false
    /// Its connection, where it has waited for one or its tenant has a share of them.
    private(set) var turn: FairTurn?
    /// Whose it is among its upstream's `max_requests`.
    private var counted: TenantPart?
    /// It is one of its tenant's `max_streams`.
    private var streams: TenantUse?
    /// When it came to wait for a connection: monotonic nanoseconds.
    var waitsSince: UInt64 = 0

    var hasTurn: Bool { turn != nil }
    var isCounted: Bool { counted != nil }

    mutating func begin(_ turn: FairTurn) { (self.turn, isOwed) = (turn, true) }
    mutating func count(for part: TenantPart) { (counted, isOwed) = (part, true) }
    mutating func hold(stream use: TenantUse) { (streams, isOwed) = (use, true) }

    mutating func takeTurn() -> FairTurn? {
        defer { (turn, isOwed) = (nil, counted != nil || streams != nil) }
        return turn
    }

    /// What is left of it once the turn is over.
    mutating func takeRest() -> (counted: TenantPart?, streams: TenantUse?) {
        defer { (counted, streams, isOwed) = (nil, nil, false) }
        return (counted, streams)
    }
}

extension Exchange {
    /// It holds no connection any more that it has waited for.
    func endTurn() {
        guard let turn = contention.takeTurn(), let tenant = resolution.tenant else { return }
        resolution.balancer?.follow { $0.ended(turn, of: tenant) }
    }

    /// It is over.
    func giveBackAll() {
        endTurn()
        let (counted, streams) = contention.takeRest()
        if let counted { resolution.balancer?.follow { $0.requestEnded(of: counted) } }
        streams?.streams.giveBack()
    }

    /// Takes what its tenant may have a number of: its connection, and its place on that.
    func takeBounds(of tenant: TenantState) throws(Halt) {
        guard let use = tenant.use else {
            // It was another tenant's, which may have one more now.
            if !client.isH2 { client.origin.isNobodys() }
            return
        }
        if let most = tenant.bounds.connections, !client.origin.isHeld(of: use, keepsFirst: client.isH2) {
            guard client.origin.hold(of: use, upTo: most) else {
                client.retire()
                bill.violated = .connections
                throw refuse(.concurrencyLimited, "the tenant has as many connections as it may have")
            }
        }
        if let most = tenant.bounds.streams, client.isH2 {
            guard use.streams.take(upTo: most) else {
                bill.violated = .streams
                throw refuse(.concurrencyLimited, "the tenant has as many streams as it may have")
            }
            contention.hold(stream: use)
        }
    }
}
