import Base
import Configuration
import Crypto
import HTTP
import Net
import Synchronization

/// One group of servers of one configuration. A template has an instance for each tenant that uses it.
public final class Upstream: Sendable {
    public let name: String
    /// What it is, from one configuration to the next: its key (`UpstreamKeys`), and of a template the hosts that were filled in.
    let identity: String
    /// In the order of the file.
    public let members: [Member]
    /// Those that may get requests.
    let choices: [Member]
    public let balance: Balance
    public let connectTimeout: UInt64
    public let responseTimeout: UInt64
    /// Of connections that nobody uses.
    let idleTimeout: UInt64
    /// To each server, from all loops together.
    public let maxConnections: Int
    let queue: QueueSettings?
    /// Requests under way; nil is without bound.
    let maxRequests: Int?
    let retry: RetrySettings
    /// Tenants may have a share of its connections.
    let hasShares: Bool
    public let healthCheck: HealthCheckSettings?
    let eject: EjectSettings?
    let slowStart: UInt64?
    let terms: ConnectionTerms
    /// What is used of it, under every configuration that has it.
    let use: UpstreamUse

    /// A server, and what this upstream says of it.
    public struct Member: Sendable {
        public let server: Server
        let weight: Int
        public let flag: ServerFlag?
        /// It may get requests.
        var isOpen: Bool { flag == nil || flag == .backup }
    }

    /// A tenant that uses it, and whether others do as well.
    let user: String
    let isShared: Bool

    init(
        _ settings: UpstreamSettings, identity: String, servers: [Server], use: UpstreamUse, user: String, isShared: Bool,
        hasShares: Bool, tls: UpstreamTLS?
    ) {
        (self.use, self.user, self.isShared, self.hasShares) = (use, user, isShared, hasShares)
        name = settings.name
        self.identity = identity
        members = zip(servers, settings.servers).map { Member(server: $0, weight: $1.weight, flag: $1.flag) }
        choices = members.filter(\.isOpen)
        balance = settings.balance
        connectTimeout = settings.connectTimeout
        (responseTimeout, idleTimeout) = (settings.responseTimeout, settings.idleTimeout)
        maxConnections = settings.maxConnections
        (queue, maxRequests, retry) = (settings.queue, settings.maxRequests, settings.retry)
        healthCheck = settings.healthCheck
        (eject, slowStart) = (settings.eject, settings.slowStart)
        let proxy: ProxyHeader.Version? = settings.proxyProtocol.map { $0 == .v1 ? .v1 : .v2 }
        terms = ConnectionTerms(speaksH2: settings.protocols.first == "h2", tls: tls, proxy: proxy)
    }

    public var servers: some Sequence<Server> { members.lazy.map(\.server) }
}

/// One server, for the life of the process: its health and its addresses outlive every configuration.
public final class Server: Sendable {
    /// As the configuration in force calls its upstream.
    public var upstream: String { name.withLock { $0 } }
    private let name: Mutex<String>
    public let host: String
    public let port: UInt16
    /// `host:port`, as logs name it.
    public let label: String
    /// As written in the configuration: metrics name a template's servers once, not once a tenant.
    public let configured: String

    /// Whether it is fit for requests, for every loop.
    let condition = ServerCondition()
    /// Requests of more than one tenant may go to it, by the configuration in force.
    private let hasTenants = Atomic<Bool>(false)
    /// It is there to get requests, by the configuration in force.
    private let isIn = Atomic<Bool>(false)
    /// How long its answers take, by each loop that looks.
    private let waits = Mutex<[LatencyCells]>([])
    /// Moves on when the addresses change, or what health checks say of them.
    public let version = Atomic<Int>(0)
    /// Monotonic nanoseconds when a loop last had a connection to it, or a health check found it down: names that nobody uses
    /// are not resolved again.
    public let lastUsed = Atomic<UInt64>(0)
    /// Connections to it, of all loops together.
    let places = SharedCount()
    private let resolution: Mutex<Resolution>
    private let troubles = ServerTrouble()
    let news: ServerNews

    private struct Resolution {
        var addresses: [SocketAddress] = []
        /// Those of which health checks say so.
        var down: Set<SocketAddress> = []
        var isLiteral = false
        /// Why the last look-up gave no addresses.
        var failure: String?
    }

    init(upstream: String, host: String, port: UInt16, template: String, news: ServerNews) {
        name = Mutex(upstream)
        (self.host, self.port, self.news) = (host, port, news)
        label = Endpoint(host: host, port: port).label
        configured = Endpoint(host: template, port: port).label
        var state = Resolution()
        if let literal = SocketAddress(host, port: port) {
            state.addresses = [literal]
            state.isLiteral = true
        }
        resolution = Mutex(state)
        if state.isLiteral { version.store(1, ordering: .relaxed) }
    }

    public var addresses: [SocketAddress] { resolution.withLock { $0.addresses } }

    /// Its addresses, and those of them that health checks say are down.
    var reachable: (addresses: [SocketAddress], down: Set<SocketAddress>) { resolution.withLock { ($0.addresses, $0.down) } }

    /// Health checks say that these are down, and all others are not.
    func setDown(_ down: Set<SocketAddress>) {
        resolution.withLock { state in
            if state.down == down { return }
            state.down = down
            version.add(1, ordering: .releasing)
        }
    }

    public var needsResolver: Bool { resolution.withLock { !$0.isLiteral } }

    /// Why its name has no addresses, as far as is known.
    public var failure: String? { resolution.withLock { $0.failure } }

    /// Looks the name up (again). `done` is called once, within `Limits.resolveNanoseconds`, perhaps on another thread; the
    /// last good addresses stay when it fails.
    /// - Parameter isAwaited: a request waits for it.
    func resolve(with resolver: Resolver, isAwaited: Bool = true, done: (@Sendable () -> Void)? = nil) {
        resolver.resolve(host, port: port, under: group, isAwaited: isAwaited) { [self] outcome in
            adopt(outcome)
            done?()
        }
    }

    /// Whose look-ups share: those of one upstream, and of a template those of one tenant's instance.
    private var group: String { configured == label ? upstream : "\(upstream)|\(host)" }

    /// What a look-up has come to.
    func adopt(_ outcome: Resolver.Outcome) {
        resolution.withLock { state in
            switch outcome {
            case .failed(let reason):
                state.failure = reason
                if state.addresses.isEmpty { note(.nameless) }
            case .addresses(let found):
                state.failure = nil
                if troubles.noteName() { news.note() }
                if Set(found) == Set(state.addresses) { return }
                state.addresses = found
                version.add(1, ordering: .releasing)
            }
        }
    }
}

extension Server {
    /// Health checks find it so.
    public var isHealthy: Bool { !condition.isDown }

    public func set(healthy: Bool, at now: UInt64) { condition.set(healthy: healthy, at: now) }

    /// Requests of more than one tenant may go to it.
    var isShared: Bool { hasTenants.load(ordering: .relaxed) }

    /// What the configuration that comes into force says of it.
    /// - Parameters:
    ///   - isOpen: it may get requests.
    ///   - isStart: there was no configuration before.
    func adopt(_ upstream: Upstream, isOpen: Bool, isShared: Bool, isStart: Bool, at now: UInt64) {
        name.withLock { $0 = upstream.name }
        condition.adopt(slowStart: upstream.slowStart, ejects: upstream.eject != nil)
        hasTenants.store(isShared, ordering: .relaxed)
        if !isIn.exchange(isOpen, ordering: .relaxed), isOpen, !isStart { condition.grow(from: now) }
    }

    func eject(_ reason: ServerCondition.Why, for time: UInt64, at now: UInt64) {
        condition.eject(reason, for: time, at: now)
        news.noteEjection()
    }

    /// For how long it is ejected and why, in words; nil where it is not.
    public func ejection(at now: UInt64) -> String? {
        guard condition.isEjected(at: now) else { return nil }
        let time = condition.ejectedFor / 1_000_000_000
        return switch condition.why {
        case .failures(let status?): "for \(time) s: it answers \(status) again and again"
        case .failures(nil): "for \(time) s: it fails again and again"
        case .slow(let times): "for \(time) s: its answers take \(times) times as long as the others'"
        }
    }

    /// Ends its ejection, if its time is over.
    public func takeBackIfDue(at now: UInt64) { if condition.isDue(at: now) { condition.comeBack(at: now) } }

    /// For a loop's own counting.
    func newLatencies() -> LatencyCells {
        let cells = LatencyCells()
        waits.withLock { $0.append(cells) }
        return cells
    }

    /// What all loops have counted so far.
    func latencies() -> [UInt32] {
        var sums = [UInt32](repeating: 0, count: LatencyCells.classes * LatencyCells.buckets)
        for cells in waits.withLock({ $0 }) { cells.add(to: &sums) }
        return sums
    }

    /// What requests have met at it lately, in words; nil where that is nothing worth telling.
    public var trouble: String? { troubles.reason(nameFailure: failure) }

    /// What an attempt at it has come to, on any loop.
    func note(_ outcome: AttemptOutcome) { if troubles.note(outcome) { news.note() } }

    /// A connection of HTTP/2 has ended so; the outcomes of the attempts on it follow.
    func note(_ ending: ServerTrouble.H2Ending, _ code: H2Code) {
        troubles.note(ending, code)
        news.note()
    }

    /// A connection could not be made, for that reason; the outcome of its attempt follows.
    func connectFailed(_ failure: ConnectFailure) { troubles.note(failure) }

    /// A name that nobody has asked for yet is looked up, so that a mistake in it is known before its first request. Not
    /// those of a template: there is one for each tenant.
    public func lookUpAhead(with resolver: Resolver) {
        if configured == label, needsResolver, addresses.isEmpty { resolve(with: resolver, isAwaited: false) }
    }

    /// Names in use are looked up again: their addresses change. One that nobody has wanted for a while is left alone.
    public func refreshIfUsed(with resolver: Resolver) {
        let used = lastUsed.load(ordering: .relaxed)
        if used > 0, Clock.monotonic() &- used < 300_000_000_000 { resolve(with: resolver, isAwaited: false) }
    }
}

/// Every server the process knows, by upstream and address. Used when a configuration is built, never on the request path.
public final class ServerRegistry: Sendable {
    private let servers = Mutex<[String: Server]>([:])
    private let uses = Mutex<[String: UpstreamUse]>([:])
    /// Of the configuration in force.
    private let keys = Mutex(UpstreamKeys())
    public let news = ServerNews()

    public init() {}

    /// What the upstreams of another configuration are known by, and what the one after it is compared with.
    func keys(of upstreams: [UpstreamSettings]) -> (keys: [String], next: UpstreamKeys) { keys.withLock { $0.next(upstreams) } }

    /// - Parameters:
    ///   - upstream: the upstream's key.
    ///   - name: what it is called.
    func server(upstream: String, named name: String, host: String, port: UInt16, template: String) -> Server {
        servers.withLock { all in
            let key = "\(upstream)|\(host)|\(port)"
            if let known = all[key] { return known }
            let new = Server(upstream: name, host: host, port: port, template: template, news: news)
            all[key] = new
            return new
        }
    }

    /// Of the upstream of that identity.
    func use(of identity: String) -> UpstreamUse {
        uses.withLock { all in
            let use = all[identity] ?? UpstreamUse()
            all[identity] = use
            return use
        }
    }

    /// The configuration is in force: forgets servers and upstreams that it does not have.
    public func keep(only snapshot: Snapshot) {
        keys.withLock { $0 = snapshot.upstreamKeys }
        servers.withLock { all in all = all.filter { snapshot.servers.contains(ObjectIdentifier($0.value)) } }
        uses.withLock { all in all = all.filter { snapshot.upstreamNumbers[$0.key] != nil } }
    }

    public var all: [Server] { servers.withLock { Array($0.values) } }
}
