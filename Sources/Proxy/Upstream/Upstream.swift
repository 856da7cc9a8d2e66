import Base
import Configuration
import Net
import Synchronization

/// One group of servers of one configuration. A template has an instance for each tenant that uses it.
public final class Upstream: Sendable {
    public let name: String
    /// What it is in the file, from one configuration to the next: its name, and of a template the hosts that were filled in.
    let identity: String
    public let servers: [Server]
    public let weights: [Int]
    public let balance: Balance
    public let connectTimeout: UInt64
    public let responseTimeout: UInt64
    /// To each server, from all loops together.
    public let maxConnections: Int
    public let healthCheck: HealthCheckSettings?
    let speaksH2: Bool
    /// What is used of it, under every configuration that has it.
    let use: UpstreamUse

    init(_ settings: UpstreamSettings, identity: String, servers: [Server], use: UpstreamUse) {
        self.use = use
        name = settings.name
        self.identity = identity
        self.servers = servers
        weights = settings.servers.map(\.weight)
        balance = settings.balance
        connectTimeout = settings.connectTimeout
        responseTimeout = settings.responseTimeout
        maxConnections = settings.maxConnections
        healthCheck = settings.healthCheck
        speaksH2 = settings.protocols.first == "h2"
    }
}

/// One server, for the life of the process: its health and its addresses outlive every configuration.
public final class Server: Sendable {
    public let upstream: String
    public let host: String
    public let port: UInt16
    /// `host:port`, as logs name it.
    public let label: String
    /// As written in the configuration: metrics name a template's servers once, not once a tenant.
    public let configured: String

    /// Set by health checks, read by every loop.
    public let isHealthy = Atomic<Bool>(true)
    /// Moves on when the addresses change, or what health checks say of them.
    public let version = Atomic<Int>(0)
    /// Monotonic nanoseconds when a loop last wanted it: names that nobody uses are not resolved again.
    public let lastUsed = Atomic<UInt64>(0)
    /// Connections to it, of all loops together.
    let places = SharedCount()
    private let resolution: Mutex<Resolution>
    private let troubles = ServerTrouble()
    private let news: ServerNews

    private struct Resolution {
        var addresses: [SocketAddress] = []
        /// Those of which health checks say so.
        var down: Set<SocketAddress> = []
        var isLiteral = false
        /// Why the last look-up gave no addresses.
        var failure: String?
    }

    init(upstream: String, host: String, port: UInt16, template: String, news: ServerNews) {
        (self.upstream, self.host, self.port, self.news) = (upstream, host, port, news)
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
    /// What requests have met at it lately, in words; nil where that is nothing worth telling.
    public var trouble: String? { troubles.reason(nameFailure: failure) }

    /// What an attempt at it has come to, on any loop.
    func note(_ outcome: AttemptOutcome) { if troubles.note(outcome) { news.note() } }

    /// A connection could not be made, for that reason; the outcome of its attempt follows.
    func connectFailed(_ error: Int32) { troubles.noteConnect(error: error) }

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
    public let news = ServerNews()

    public init() {}

    func server(upstream: String, host: String, port: UInt16, template: String) -> Server {
        servers.withLock { all in
            let key = "\(upstream)|\(host)|\(port)"
            if let known = all[key] { return known }
            let new = Server(upstream: upstream, host: host, port: port, template: template, news: news)
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

    /// Forgets servers and upstreams that the configuration in force does not have.
    public func keep(only snapshot: Snapshot) {
        servers.withLock { all in all = all.filter { snapshot.servers.contains(ObjectIdentifier($0.value)) } }
        uses.withLock { all in all = all.filter { snapshot.upstreamNumbers[$0.key] != nil } }
    }

    public var all: [Server] { servers.withLock { Array($0.values) } }
}
