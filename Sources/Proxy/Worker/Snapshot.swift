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
    /// Their places among them, by identity.
    let upstreamNumbers: [String: Int]
    /// Those of all upstreams.
    let servers: Set<ObjectIdentifier>
    public let listeners: [ListenerState]
    /// What tells an upstream that a request was here, and this gateway when it comes back.
    let via: [UInt8]
    /// This process among all gateways, in `X-Gateway-Via`: `Via` calls all of them alike.
    static let instance: [UInt8] = Array(String(Random.word() | 1 << 63, radix: 36).utf8)
    /// Bytes of `problem_base`.
    let problemBase: [UInt8]

    /// - Parameters:
    ///   - quotas: the limits of the settings' tenants.
    ///   - tls: of each listener, nil for plain ones.
    ///   - issuers: those of the settings, with their keys.
    ///   - authorities: ids of those that the settings' issuers of client certificates mean.
    public init(
        _ settings: HotSettings, quotas: QuotaBook, servers: ServerRegistry, tls: [TLSListener?], issuers: [TokenIssuer] = [],
        authorities: [CertificateIssuer: Set<Digest256>] = [:]
    ) {
        (self.settings, self.quotas) = (settings, quotas)
        var instances: [Upstream] = []
        var known: [String: Int] = [:]
        func instance(_ template: Int, _ tenant: TenantSettings?) -> Int {
            let group = settings.upstreams[template]
            func fill(_ text: String) -> String {
                guard let tenant, text.contains("{") else { return text }
                return text.replacing("{namespace}", with: tenant.namespace).replacing("{tenant}", with: tenant.id)
            }
            let hosts = group.servers.map { fill($0.host) }
            let identity = group.isTemplate ? "\(group.name)|" + hosts.joined(separator: "|") : group.name
            if let index = known[identity] { return index }
            let members = zip(hosts, group.servers).map { servers.server(upstream: group.name, host: $0, port: $1.port, template: $1.host) }
            known[identity] = instances.count
            instances.append(Upstream(group, identity: identity, servers: members, use: servers.use(of: identity)))
            return instances.count - 1
        }
        directory = Directory(
            settings.tenants, sharedHosts: settings.sharedHosts, issuers: issuers, authorities: authorities
        ) { instance($0, $1) }
        (upstreams, upstreamNumbers) = (instances, known)
        self.servers = Set(instances.lazy.flatMap { $0.servers.lazy.map { ObjectIdentifier($0) } })
        listeners = zip(settings.listeners, tls).enumerated().map {
            ListenerState(index: $0.offset, endpoint: $0.element.0.endpoint, tls: $0.element.1)
        }
        let mark = "X-Gateway-Via: \(String(decoding: Self.instance, as: UTF8.self))\r\n"
        via = Array(((settings.via ? "Via: 1.1 gateway\r\n" : "") + mark).utf8)
        problemBase = Array(settings.problemBase.utf8)
    }

    /// Whether what this address says about the client is believed.
    func trusts(_ address: SocketAddress) -> Bool {
        for block in settings.trustedProxies where block.contains(high: address.high, low: address.low) { return true }
        return false
    }

    func writeVia(to out: inout ByteWriter) { out.append(via) }

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

    init(index: Int, endpoint: Endpoint, tls: TLSListener?) {
        (self.index, self.endpoint, self.tls) = (index, endpoint, tls)
        label = endpoint.label
    }
}

extension Endpoint {
    public var address: SocketAddress? {
        guard let host else { return .any(port: port) }
        return SocketAddress(host, port: port)
    }
}
