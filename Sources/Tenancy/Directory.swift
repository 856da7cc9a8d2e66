import Base
import Configuration
import Crypto
import Glibc

/// All tenants of one configuration, and who owns which host. Immutable: a reload builds another one beside it.
public final class Directory: Sendable {
    /// All tenants, in the order of the settings.
    public let tenants: Tenants
    private nonisolated(unsafe) let memory: RecordMemory
    private let exact: NameTable
    private let wildcard: NameTable
    private let ids: NameTable
    /// All API keys.
    public let keys: KeyTable
    private let keyConsumers: KeyConsumers
    public let issuers: [TokenIssuer]
    /// Indices of issuers by their `iss`: one `iss` may stand in several blocks.
    private let issuersByName: [[UInt8]: [Int]]
    /// Of each issuer: its tenant, where there is just one.
    private let soleTenants: [Int?]
    private let certificates: CertificateOwners

    /// - Parameters:
    ///   - sharedHosts: hosts of nobody in particular.
    ///   - issuers: those that the settings' indices mean.
    ///   - authorities: ids of those that the settings' issuers of client certificates mean.
    public init(
        _ settings: [TenantSettings], sharedHosts: [String] = [], issuers: [TokenIssuer] = [],
        authorities: [CertificateIssuer: Set<Digest256>] = [:],
        upstream: (_ template: Int, _ tenant: TenantSettings) -> Int
    ) {
        let memory = RecordMemory()
        var builder = RecordBuilder(memory)
        tenants = Tenants(settings, records: memory.room(for: settings.count, of: Tenant.Record.self))
        var exact: [(String, Int32)] = []
        var wildcard: [(String, Int32)] = []
        var keyCount = 0
        var users: [[Int]] = Array(repeating: [], count: issuers.count)
        for (index, one) in settings.enumerated() {
            let fields = one.issuers.flatMap { issuers[$0].claimFields }
            let record = builder.tenant(
                tenants.settings + index, index: index, firstKey: keyCount, claimFields: fields
            ) { upstream($0, one) }
            (tenants.records + index).initialize(to: record)
            keyCount += one.keys.count
            for issuer in one.issuers { users[issuer].append(index) }
            for host in one.hosts {
                if host.hasPrefix("*.") {
                    wildcard.append((String(host.dropFirst(2)), Int32(index)))
                } else {
                    exact.append((Self.withoutBrackets(host), Int32(index)))
                }
            }
        }
        for host in sharedHosts { exact.append((Self.withoutBrackets(host), Int32(settings.count))) }
        self.memory = memory
        self.exact = NameTable(exact)
        ids = NameTable(settings.enumerated().map { ($0.element.id, Int32($0.offset)) })
        keys = KeyTable(
            count: keyCount,
            settings.enumerated().lazy.flatMap { index, one in
                one.keys.lazy.map { (Digest256($0.digest), Int32(index), $0.expires ?? KeyTable.Owner.never) }
            })
        keyConsumers = KeyConsumers(settings, in: memory)
        self.issuers = issuers
        issuersByName = Dictionary(grouping: issuers.indices) { issuers[$0].issuer }
        soleTenants = users.map { $0.count == 1 ? $0[0] : nil }
        certificates = CertificateOwners(settings, authorities)
        self.wildcard = NameTable(wildcard)
    }

    deinit { tenants.deallocate() }

    /// Asks for the record of the tenant with this index.
    @inline(__always)
    public func prefetch(_ index: Int) { Base.prefetch(tenants.records + index, lines: 1) }

    /// Whose a host is.
    public enum HostOwner {
        case tenant(Tenant)
        /// Everybody's: credentials name the tenant.
        case shared
        case nobody
    }

    /// The owner of a host name in any case, with or without a trailing dot, without port or brackets: that of the exact
    /// name, else of the longest wildcard. One probe however many tenants there are, and one more a label for wildcards.
    public func owner(host: UnsafeRawBufferPointer) -> HostOwner {
        guard host.count > 0, host.count <= 256 else { return .nobody }
        if memchr(host.baseAddress!, 0x3A, host.count) != nil { return owner(addressLiteral: host) }
        return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { name -> HostOwner in
            let lowered = HostName.normal(host, in: name)
            if let index = exact.find(lowered) { return owner(index) }
            if wildcard.isEmpty { return .nobody }
            for i in 1..<max(lowered.count, 1) where lowered[i - 1] == 0x2E {
                if let index = wildcard.find(UnsafeRawBufferPointer(rebasing: lowered[i...])) {
                    return .tenant(tenants[Int(index)])
                }
            }
            return .nobody
        }
    }

    private func owner(_ index: Int32) -> HostOwner {
        Int(index) < tenants.count ? .tenant(tenants[Int(index)]) : .shared
    }

    /// The tenant of a host name; nil where it is nobody's or everybody's.
    public func tenant(host: UnsafeRawBufferPointer) -> Tenant? {
        if case .tenant(let tenant) = owner(host: host) { tenant } else { nil }
    }

    /// An IPv6 address has many spellings: both sides are brought to the system's own.
    private func owner(addressLiteral host: UnsafeRawBufferPointer) -> HostOwner {
        guard var name = Self.canonical(String(decoding: host, as: UTF8.self)) else { return .nobody }
        return name.withUTF8 { exact.find(UnsafeRawBufferPointer($0)) }.map(owner) ?? .nobody
    }

    private static func canonical(_ text: String) -> String? {
        var address = in6_addr()
        guard inet_pton(AF_INET6, text, &address) == 1 else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 46) { room in
            inet_ntop(AF_INET6, &address, room.baseAddress, 46).map { String(cString: $0) }
        }
    }

    private static func withoutBrackets(_ host: String) -> String {
        guard host.hasPrefix("["), host.hasSuffix("]") else { return host }
        let inner = String(host.dropFirst().dropLast())
        return canonical(inner) ?? inner
    }

    public func tenant(host: String) -> Tenant? {
        var host = host
        return host.withUTF8 { tenant(host: UnsafeRawBufferPointer($0)) }
    }

    public func tenant(id: String) -> Tenant? { index(ofTenant: Array(id.utf8)).map { tenants[$0] } }

    func index(ofTenant id: [UInt8]) -> Int? { id.withUnsafeBytes { ids.find($0) }.map(Int.init) }

    func issuers(named name: [UInt8]) -> [Int] { issuersByName[name] ?? [] }

    func soleTenant(ofIssuer index: Int) -> Int? { soleTenants[index] }

    /// Who is behind the key at this place of the table.
    @inline(__always)
    func consumer(ofKey position: Int) -> KeyConsumer? { keyConsumers[position] }

    /// The tenant that a client certificate names, if it names one.
    func tenant(of certificate: ClientCertificate) -> Tenant? { certificates.owner(of: certificate).map { tenants[$0.tenant] } }

    /// What a certificate that a tenant takes lets do.
    func roles(of certificate: ClientCertificate, for tenant: Tenant) -> [UInt8] {
        if let owner = certificates.owner(of: certificate), owner.tenant == tenant.index { return owner.roles }
        return certificates.rolesOfAny(tenant.index)
    }

    /// Whether its requests may come with any certificate.
    func takesAnyCertificate(_ tenant: Tenant) -> Bool { certificates.opensToAny(tenant.index) }
}

/// Lower-case names to numbers: open addressing, all names in one run of bytes.
struct NameTable: Sendable {
    private struct Entry {
        var hash: UInt64 = 0
        var start: Int32 = 0
        var count: Int32 = 0
        var value: Int32 = -1
    }
    private var entries: [Entry]
    private var names: [UInt8] = []
    private let mask: Int

    var isEmpty: Bool { names.isEmpty }

    init(_ pairs: [(String, Int32)]) {
        var capacity = 8
        while capacity < pairs.count * 2 { capacity *= 2 }
        mask = capacity - 1
        entries = Array(repeating: Entry(), count: capacity)
        for (name, value) in pairs {
            let bytes = Array(name.utf8)
            let hash = bytes.withUnsafeBytes { Self.hash($0) }
            var at = Int(truncatingIfNeeded: hash) & mask
            while entries[at].value >= 0 { at = (at + 1) & mask }
            entries[at] = Entry(hash: hash, start: Int32(names.count), count: Int32(bytes.count), value: value)
            names += bytes
        }
    }

    func find(_ name: UnsafeRawBufferPointer) -> Int32? {
        let hash = Self.hash(name)
        var at = Int(truncatingIfNeeded: hash) & mask
        while entries[at].value >= 0 {
            let entry = entries[at]
            if entry.hash == hash, Int(entry.count) == name.count {
                let same = names.withUnsafeBytes { all in
                    for i in 0..<name.count where all[Int(entry.start) + i] != name[i] { return false }
                    return true
                }
                if same { return entry.value }
            }
            at = (at + 1) & mask
        }
        return nil
    }

    /// FNV-1a with a final mix. Names come from the configuration, so nobody outside can choose colliding ones.
    static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        hash ^= hash >> 32
        return hash
    }
}
