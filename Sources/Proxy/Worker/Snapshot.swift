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
    private let (viaH1, viaH2): ([UInt8], [UInt8])
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
            ListenerState(index: $0.offset, $0.element.0, tls: $0.element.1)
        }
        let mark = "X-Gateway-Via: \(String(decoding: Self.instance, as: UTF8.self))\r\n"
        func via(_ version: String) -> [UInt8] { Array(((settings.via ? "Via: \(version) gateway\r\n" : "") + mark).utf8) }
        (viaH1, viaH2) = (via("1.1"), via("2"))
        problemBase = Array(settings.problemBase.utf8)
    }

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

    init(index: Int, _ settings: ListenerSettings, tls: TLSListener?) {
        (self.index, endpoint, self.tls) = (index, settings.endpoint, tls)
        label = endpoint.label
        (speaksH1, speaksH2) = (settings.protocols.contains("http/1.1"), settings.protocols.contains("h2"))
    }
}

extension Endpoint {
    public var address: SocketAddress? {
        guard let host else { return .any(port: port) }
        return SocketAddress(host, port: port)
    }
}
