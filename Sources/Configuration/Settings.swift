import Base

/// Where something stands in a configuration file: line and column count from 1.
public struct Location: Sendable, Hashable {
    /// Index into `Settings.files`.
    public var file: Int
    public var line: Int
    public var column: Int
    public init(file: Int, line: Int, column: Int) { (self.file, self.line, self.column) = (file, line, column) }
}

/// A validated configuration: defaults filled in, plans and `defaults` already merged into each tenant (the nearest wins).
public struct Settings: Sendable {
    public var cold = ColdSettings()
    public var hot = HotSettings()
    /// The files read, as given or globbed; the first is the one that `-c` named.
    public var files: [String] = []
    public var places = Places()
    public init() {}
}

/// Where in the files something stands that is judged by what else is on the machine; nil where it stands nowhere.
public struct Places: Sendable {
    public var state: Location?
    public var accessLog: Location?
    public var admin: Location?
    public init() {}
}

/// What only a start can apply. A reload that changes one of these keeps the running value and warns.
public struct ColdSettings: Sendable, Equatable {
    /// Folder, absolute or relative to the working directory.
    public var state = "./state"
    public init() {}
}

/// What a reload applies.
public struct HotSettings: Sendable {
    /// Event loops; nil is one a core.
    public var workers: Int?
    public var shutdownTimeout: UInt64 = 30_000_000_000  // nanoseconds, as all times here
    public var upgradeTimeout: UInt64 = 3_600_000_000_000
    public var trustedProxies: [AddressBlock] = []
    public var trustedFields = TrustedFields.any
    /// Names of `HeaderFields.overrides`, lower case, that every client may send.
    public var passFields: [String] = []
    /// Requests to upstreams have a `Via`.
    public var via = true
    /// Lower case, no trailing dot.
    public var sharedHosts: [String] = []
    public var listeners: [ListenerSettings] = []
    public var admin: Endpoint?
    /// Names that requests to it may have beside addresses: lower case, no trailing dot.
    public var adminHosts: [String] = []
    public var accessLog = AccessLogSettings()
    public var limits = LimitSettings()
    public var overload = OverloadSettings()
    public var problemBase = "https://gateway.invalid/problems/"
    /// Tenants that metrics name before the rest become `_other`.
    public var metricsTenants = 1000
    public var ledger = LedgerSettings()
    public var upstreams: [UpstreamSettings] = []
    public var issuers: [IssuerSettings] = []
    public var tenants: [TenantSettings] = []
    public init() {}
}

/// Which fields of trusted proxies tell of the client: those of one family, or of the one that is there, the older first.
public enum TrustedFields: String, Sendable, CaseIterable {
    case any, forwarded
    case xForwarded = "x_forwarded"
}

/// An address to listen on: `127.0.0.1:80`, `[::1]:80`, `*:80` (every IPv4 and IPv6 address) or `80` (the same).
public struct Endpoint: Sendable, Hashable {
    /// A numeric address without brackets, or nil for every address.
    public var host: String?
    public var port: UInt16
    public init(host: String?, port: UInt16) { (self.host, self.port) = (host, port) }

    /// From its label; nil for anything else.
    public init?(label: String) {
        guard case .endpoint(let endpoint)? = try? Endpoints.endpoint(label) else { return nil }
        self = endpoint
    }

    /// As files, logs and metrics write it: `127.0.0.1:9901`, `[::1]:9901`, `*:9901`.
    public var label: String {
        guard let host else { return "*:\(port)" }
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The same, or one of them is every address of the port.
    public func overlaps(_ other: Endpoint) -> Bool {
        port == other.port && (host == other.host || host == nil || other.host == nil)
    }
}

/// An address block, `10.0.0.0/8` or `::1`. IPv4 is kept as IPv4-mapped IPv6.
public struct AddressBlock: Sendable, Hashable {
    /// The 128 bits, high and low, with the bits past the prefix cleared.
    public var high: UInt64
    public var low: UInt64
    /// 0 to 128; an IPv4 prefix has 96 added.
    public var prefix: Int
    public init(high: UInt64, low: UInt64, prefix: Int) { (self.high, self.low, self.prefix) = (high, low, prefix) }

    public func contains(high: UInt64, low: UInt64) -> Bool {
        let h: UInt64 = prefix >= 64 ? .max : prefix == 0 ? 0 : .max << UInt64(64 - prefix)
        let l: UInt64 = prefix <= 64 ? 0 : .max << UInt64(128 - prefix)
        return high & h == self.high && low & l == self.low
    }
}

public struct ListenerSettings: Sendable {
    public var endpoint: Endpoint
    /// nil: plain HTTP.
    public var tls: TLSSettings?
    /// ALPN names in order of preference: `h2`, `http/1.1`. Without TLS those that are spoken.
    public var protocols: [String] = ["h2", "http/1.1"]
    /// Connections begin with a PROXY header.
    public var takesProxy = false
    /// Requests are sent to https at that port.
    public var httpsPort: UInt16?
    public var location: Location
    public init(endpoint: Endpoint, tls: TLSSettings?, location: Location) {
        (self.endpoint, self.tls, self.location) = (endpoint, tls, location)
    }
}

public struct TLSSettings: Sendable {
    /// The first is the default. Paths as resolved against the file they stand in.
    public var certificates: [CertificateSettings] = []
    public var minVersion = TLSVersion.v1_2
    /// PEM file of the authorities that vouch for client certificates; nil asks for none.
    public var clientAuthorities: FileSettings?
    public init() {}
}

public enum TLSVersion: Sendable { case v1_2, v1_3 }

public enum ProxyProtocol: Sendable { case v1, v2 }

public struct UpstreamTLSSettings: Sendable {
    /// Asked for, and to be proved: a name, or an address without brackets. nil: each server its own.
    public var name: String?
    /// PEM file of those that are believed; nil: the system's.
    public var authorities: FileSettings?
    /// Shown to servers that ask for one.
    public var certificate: CertificateSettings?
    public var minVersion = TLSVersion.v1_2
    public var verifies = true
    /// Of the block.
    public var location: Location
    public init(location: Location) { self.location = location }
}

public struct CertificateSettings: Sendable {
    public var chain: String
    public var key: String
    /// Of the key; nil where it has none.
    public var passphrase: String?
    /// Of the chain.
    public var location: Location
    public var keyLocation: Location
    public init(chain: String, key: String, location: Location, keyLocation: Location) {
        (self.chain, self.key, self.location, self.keyLocation) = (chain, key, location, keyLocation)
    }
}

/// A file and where it was named.
public struct FileSettings: Sendable {
    public var path: String
    public var location: Location
    public init(path: String, location: Location) { (self.path, self.location) = (path, location) }
}

public struct AccessLogSettings: Sendable, Equatable {
    public enum Target: Sendable, Equatable { case off, stdout, file(String) }
    public var target = Target.off
    /// Log the query too (`query=on`).
    public var query = false
    public init() {}
}

public struct LimitSettings: Sendable {
    public var headerTimeout: UInt64 = 10_000_000_000
    public var bodyTimeout: UInt64 = 30_000_000_000
    /// Bytes a second; zero is none.
    public var bodyMinRate: UInt64 = 100
    public var idleTimeout: UInt64 = 75_000_000_000
    public var maxHeaderSize = 32 << 10
    public var maxHeaders = 100
    public var maxConnections = 20000
    /// Of one HTTP/2 connection.
    public var maxStreams = 100
    /// So many streams of it may be reset in a time, nanoseconds.
    public var maxResets = 100
    public var maxResetsTime: UInt64 = 10_000_000_000
    /// Connections of one client address; nil: `defaultAddressConnections`, and this machine's own are excepted.
    public var addressConnections: Int?
    /// TLS handshakes of one: so many in a time, nanoseconds; nil: `defaultAddressHandshakes`, and the same.
    public var addressHandshakes: (count: UInt64, time: UInt64)?
    public static let defaultAddressConnections = 1000
    public static let defaultAddressHandshakes: (count: UInt64, time: UInt64) = (200, 1_000_000_000)
    /// What was written, where this machine allows fewer; nil where it allows them.
    public var writtenMaxConnections: Int?
    /// Where it stands; nil for the default.
    public var maxConnectionsLocation: Location?
    public init() {}

    /// Without what the machine makes of it.
    public var asWritten: LimitSettings {
        var written = self
        (written.maxConnections, written.writtenMaxConnections) = (writtenMaxConnections ?? maxConnections, nil)
        return written
    }
}

public struct UpstreamSettings: Sendable {
    public var name: String
    public var servers: [ServerSettings] = []
    public var balance = Balance.leastRequests
    public var connectTimeout: UInt64 = 5_000_000_000
    /// Until the head of the answer, and between two reads of its body.
    public var responseTimeout: UInt64 = 30_000_000_000
    /// Of connections that nobody uses. Most servers keep theirs for a minute or more.
    public var idleTimeout: UInt64 = 55_000_000_000
    /// To each server.
    public var maxConnections = 256
    /// Who waits for a connection; nil where nothing is said.
    public var queue: QueueSettings?
    /// Under way at all servers together; nil is without bound.
    public var maxRequests: Int?
    public var retry = RetrySettings()
    public var eject: EjectSettings?
    /// For how long the share of a server grows that is back; nil: it has all of it at once.
    public var slowStart: UInt64?
    public var healthCheck: HealthCheckSettings?
    /// Without TLS the first one is spoken: `http/1.1`, `h2` by prior knowledge. With it ALPN decides.
    public var protocols = ["http/1.1"]
    /// nil: plain HTTP.
    public var tls: UpstreamTLSSettings?
    /// Connections begin with a PROXY header of this version; nil: with none.
    public var proxyProtocol: ProxyProtocol?
    public var location: Location
    /// Whether a server's name has `{namespace}` or `{tenant}` in it, so that each tenant has servers of its own.
    public var isTemplate: Bool { servers.contains { $0.host.utf8.contains(UInt8(ascii: "{")) } }
    public init(name: String, location: Location) { (self.name, self.location) = (name, location) }
}

public enum Balance: Sendable, Equatable {
    case leastRequests, roundRobin
    /// The same server for the same key.
    case hash(HashKey)
}

/// What of a request `balance hash` goes by.
public enum HashKey: Sendable, Equatable {
    /// A field's name, lower case.
    case header([UInt8])
    case cookie([UInt8])
    /// Its client's address; of IPv6 the network.
    case client
    case tenant
    /// Without the query, as it was sent.
    case path
}

public struct ServerSettings: Sendable {
    /// A DNS name (perhaps with `{namespace}` or `{tenant}`) or a numeric address without brackets.
    public var host: String
    public var port: UInt16
    public var weight = 1
    /// nil: it takes its share of the requests.
    public var flag: ServerFlag?
    public var location: Location
    public init(host: String, port: UInt16, location: Location) {
        (self.host, self.port, self.location) = (host, port, location)
    }
}

/// What sets a server apart from the others of its upstream.
public enum ServerFlag: String, Sendable, CaseIterable {
    /// It gets requests only while no other one is healthy.
    case backup
    /// It finishes what it has, and gets nothing new.
    case drain
    /// It gets nothing, and is not asked for its health.
    case down
}

/// When a server is left out for a while by what requests come to.
public struct EjectSettings: Sendable, Equatable {
    /// In a row.
    public var failures = 5
    /// The first time.
    public var time: UInt64 = 10_000_000_000
    /// Of the upstream's servers, in hundredths.
    public var maxShare = 50
    /// How many times the others' its answers take; nil: that is not looked at.
    public var slower: Int?
    public init() {}
}

public struct HealthCheckSettings: Sendable, Equatable {
    public var path: String
    public var interval: UInt64 = 5_000_000_000
    public var timeout: UInt64 = 1_000_000_000
    /// Failures in a row before a server is taken out, successes before it is back.
    public var fall = 3
    public var rise = 2
    /// Statuses that are a yes.
    public var statuses = 200...399
    /// What an answer must have in it; nil: nothing.
    public var body: String?
    /// What `Host` says; nil: the server's own.
    public var host: String?
    /// The service that gRPC's own check asks about, empty for the server as a whole; nil: the path is asked for.
    public var grpcService: String?
    /// It is asked by HTTP/2.
    public var speaksH2 = false
    public init(path: String) { self.path = path }
}

public struct TenantSettings: Sendable {
    public var id: String
    public var plan: String?
    /// Lower case, no trailing dot. `*.` in front of a wildcard; an IPv6 address in brackets, as RFC 5952 writes it.
    public var hosts: [String] = []
    /// Index into `HotSettings.upstreams`; nil is allowed only while every path has a route with an upstream.
    public var upstream: Int?
    public var namespace: String
    public var suspended = false
    /// Bytes; nil is without limit.
    public var maxBody: UInt64?
    /// Share of a loop's turns when tenants compete.
    public var weight = 1
    /// What it may hold at once.
    public var bounds = TenantBounds()
    /// Limits, and how its requests are counted.
    public var usage = UsageSettings()
    public var prices = PriceSettings()
    public var features: [String] = []  // the enabled ones, in order
    public var settings: [(name: String, value: String)] = []  // `set NAME VALUE;`
    public var requestHeaders: [HeaderChange] = []
    public var responseHeaders: [HeaderChange] = []
    /// One of these must be presented; empty: the host is enough.
    public var authenticate: [AuthenticationMethod] = []
    public var keys: [KeySettings] = []
    /// Indices into `HotSettings.issuers`.
    public var issuers: [Int] = []
    /// One of these must come with every request; empty: none.
    public var clientCertificates: [ClientCertificateSettings] = []
    /// Its own, then its plan's, then those of `defaults`, in the order of the file: the numbers that others know them by.
    public var routes: [RouteSettings] = []
    /// What no route is about is not there.
    public var routesOnly = false
    public var door = DoorSettings()
    /// Paths that some servers read in another way are refused (`%2F`, `%5C`, a backslash); nil: where a route guards something.
    public var strictPaths: Bool?
    public var location: Location
    public init(id: String, location: Location) {
        (self.id, self.namespace, self.location) = (id, id, location)
    }
}

/// A field that is set (replacing what was there), or removed where the value is `off`.
public struct HeaderChange: Sendable, Hashable {
    public var name: String
    /// nil removes the field.
    public var value: String?
    public init(name: String, value: String?) { (self.name, self.value) = (name, value) }
}
