import Base
import Configuration
import Crypto
import HTTP
import Net
import Quotas
import Tenancy

/// One configuration in force: immutable, shared by all loops, swapped whole between two events.
public final class Snapshot: Sendable {
    public let settings: HotSettings
    public let directory: Directory
    /// What its tenants may use, in the order of its tenants.
    public let quotas: QuotaBook
    public let upstreams: [Upstream]
    /// Of each upstream of the settings, nil for plain ones.
    public let upstreamTLS: [UpstreamTLS?]
    /// By what they are known to the next configuration.
    let upstreamKeys: UpstreamKeys
    /// Their places among them, by identity.
    let upstreamNumbers: [String: Int]
    /// Those of all upstreams, and of them those that may get requests.
    let servers, openServers: Set<ObjectIdentifier>
    public let listeners: [ListenerState]
    /// What tells an upstream that a request was here, and this gateway when it comes back.
    private let (viaH1, viaH2): ([UInt8], [UInt8])
    /// This process among all gateways, in `X-Gateway-Via`: `Via` calls all of them alike.
    static let instance: [UInt8] = Array(String(Random.word() | 1 << 63, radix: 36).utf8)
    /// By the tenant's index; empty where none has any.
    private let bounds: [TenantBounds]
    /// Bytes of `problem_base`.
    let problemBase: [UInt8]
    /// Whose word counts for services that decide about requests; nil where none is asked by https.
    let authorities: ServerAuthorities?

    /// - Parameters:
    ///   - quotas: the limits of the settings' tenants.
    ///   - tls: of each listener, nil for plain ones.
    ///   - upstreamTLS: of each upstream, nil for plain ones; none at all where all of them are.
    ///   - issuers: those of the settings, with their keys.
    ///   - authorities: ids of those that the settings' issuers of client certificates mean.
    ///   - serverAuthorities: whose word counts for services that decide about requests.
    public init(
        _ settings: HotSettings, quotas: QuotaBook, servers: ServerRegistry, tls: [TLSListener?], upstreamTLS: [UpstreamTLS?] = [],
        issuers: [TokenIssuer] = [], authorities: [CertificateIssuer: Set<Digest256>] = [:],
        serverAuthorities: ServerAuthorities? = nil
    ) {
        (self.settings, self.quotas, self.authorities) = (settings, quotas, serverAuthorities)
        let upstreamTLS = upstreamTLS.isEmpty ? settings.upstreams.map { _ in nil } : upstreamTLS
        self.upstreamTLS = upstreamTLS
        let bounds = settings.tenants.map(\.bounds)
        self.bounds = bounds.contains { !$0.isEmpty } ? bounds : []
        let hasShares = bounds.contains { $0.share != nil }
        let (keys, upstreamKeys) = servers.keys(of: settings.upstreams)
        self.upstreamKeys = upstreamKeys
        var made: [(template: Int, identity: String, members: [Server], user: String, isShared: Bool)] = []
        var known: [String: Int] = [:]
        func instance(_ template: Int, _ tenant: TenantSettings?) -> Int {
            let group = settings.upstreams[template]
            func fill(_ text: String) -> String {
                guard let tenant, text.contains("{") else { return text }
                return text.replacing("{namespace}", with: tenant.namespace).replacing("{tenant}", with: tenant.id)
            }
            let hosts = group.servers.map { fill($0.host) }
            let user = tenant?.id ?? ""
            let identity = group.isTemplate ? "\(keys[template])|" + hosts.joined(separator: "|") : keys[template]
            if let index = known[identity] {
                if made[index].user != user { made[index].isShared = true }
                return index
            }
            let members = zip(hosts, group.servers).map {
                servers.server(upstream: keys[template], named: group.name, host: $0, port: $1.port, template: $1.host)
            }
            known[identity] = made.count
            made.append((template, identity, members, user, false))
            return made.count - 1
        }
        directory = Directory(
            settings.tenants, sharedHosts: settings.sharedHosts, issuers: issuers, authorities: authorities
        ) { instance($0, $1) }
        let instances = made.map {
            Upstream(
                settings.upstreams[$0.template], identity: $0.identity, servers: $0.members, use: servers.use(of: $0.identity),
                user: $0.user, isShared: $0.isShared, hasShares: hasShares, tls: upstreamTLS[$0.template])
        }
        (upstreams, upstreamNumbers) = (instances, known)
        self.servers = Set(instances.lazy.flatMap { $0.servers.lazy.map { ObjectIdentifier($0) } })
        openServers = Set(instances.lazy.flatMap { $0.choices.lazy.map { ObjectIdentifier($0.server) } })
        listeners = zip(settings.listeners, tls).enumerated().map {
            ListenerState(index: $0.offset, $0.element.0, tls: $0.element.1)
        }
        let mark = "X-Gateway-Via: \(String(decoding: Self.instance, as: UTF8.self))\r\n"
        func via(_ version: String) -> [UInt8] { Array(((settings.via ? "Via: \(version) gateway\r\n" : "") + mark).utf8) }
        (viaH1, viaH2) = (via("1.1"), via("2"))
        problemBase = Array(settings.problemBase.utf8)
    }

    /// A tenant may have a number of something.
    var hasBounds: Bool { !bounds.isEmpty }

    func bounds(ofTenant index: Int) -> TenantBounds { bounds.isEmpty ? TenantBounds() : bounds[index] }

    /// Whether what this address says about the client is believed.
    func trusts(_ address: SocketAddress) -> Bool {
        for block in settings.trustedProxies where block.contains(high: address.high, low: address.low) { return true }
        return false
    }

    /// - Parameter isH2: it came by HTTP/2 (RFC 9110 section 7.6.3).
    func writeVia(isH2: Bool, to out: inout ByteWriter) {
        if isH2 { out.append(viaH2) } else { out.append(viaH1) }
    }

    /// What its trusted proxies say of where a request comes from.
    func provenance(of head: borrowing RequestHead) -> Provenance? {
        Provenance(head, believes: settings.trustedFields, trusts: trusts)
    }

    /// Whether a field of this name is passed on whoever sends it.
    func passes(_ name: UnsafeRawBufferPointer) -> Bool {
        settings.passFields.contains { unsafe $0.utf8.elementsEqual(name.lazy.map(ASCII.lowercase)) }
    }
}

/// A listener as a connection sees it.
public final class ListenerState: Sendable {
    public let index: Int
    public let endpoint: Endpoint
    public let tls: TLSListener?
    public let label: String
    /// Of what it speaks.
    let (speaksH1, speaksH2): (Bool, Bool)
    /// Its connections begin with a PROXY header.
    let takesProxy: Bool
    /// Requests are sent to https at that port.
    let httpsPort: UInt16?

    init(index: Int, _ settings: ListenerSettings, tls: TLSListener?) {
        (self.index, endpoint, self.tls) = (index, settings.endpoint, tls)
        label = endpoint.label
        (takesProxy, httpsPort) = (settings.takesProxy, settings.httpsPort)
        (speaksH1, speaksH2) = (settings.protocols.contains("http/1.1"), settings.protocols.contains("h2"))
    }
}

extension Endpoint {
    public var address: SocketAddress? {
        guard let host else { return .any(port: port) }
        return SocketAddress(host, port: port)
    }
}
