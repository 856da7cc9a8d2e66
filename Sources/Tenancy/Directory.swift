import Base
import Configuration
import Glibc

/// All tenants of one configuration, and who owns which host. Immutable: a reload builds another one beside it.
public final class Directory: Sendable {
    public let tenants: [Tenant]
    private let exact: HostTable
    private let wildcard: HostTable

    public init(_ settings: [TenantSettings], upstream: (_ template: Int, _ tenant: TenantSettings) -> Int) {
        var tenants: [Tenant] = []
        tenants.reserveCapacity(settings.count)
        var exact: [(String, Int32)] = []
        var wildcard: [(String, Int32)] = []
        for (index, one) in settings.enumerated() {
            tenants.append(Tenant(one, index: index) { upstream($0, one) })
            for host in one.hosts {
                if host.hasPrefix("*.") {
                    wildcard.append((String(host.dropFirst(2)), Int32(index)))
                } else {
                    exact.append((Self.withoutBrackets(host), Int32(index)))
                }
            }
        }
        self.tenants = tenants
        self.exact = HostTable(exact)
        self.wildcard = HostTable(wildcard)
    }

    /// The tenant of a host name in any case, with or without a trailing dot, without port or brackets: the exact name,
    /// else the longest wildcard. One probe however many tenants there are, and one more a label for wildcards.
    public func tenant(host: UnsafeRawBufferPointer) -> Tenant? {
        var count = host.count
        if count > 1, host[count - 1] == 0x2E { count -= 1 }
        guard count > 0, count <= 255 else { return nil }
        if memchr(host.baseAddress!, 0x3A, count) != nil { return tenant(addressLiteral: host) }
        return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { name -> Tenant? in
            for i in 0..<count { name[i] = ASCII.lowercase(host[i]) }
            let lowered = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(name)[0..<count])
            if let index = exact.find(lowered) { return tenants[Int(index)] }
            if wildcard.isEmpty { return nil }
            for i in 1..<max(count, 1) where lowered[i - 1] == 0x2E {
                if let index = wildcard.find(UnsafeRawBufferPointer(rebasing: lowered[i...])) { return tenants[Int(index)] }
            }
            return nil
        }
    }

    /// An IPv6 address has many spellings: both sides are brought to the system's own.
    private func tenant(addressLiteral host: UnsafeRawBufferPointer) -> Tenant? {
        Self.canonical(String(decoding: host, as: UTF8.self)).flatMap { name in
            var name = name
            return name.withUTF8 { exact.find(UnsafeRawBufferPointer($0)) }.map { tenants[Int($0)] }
        }
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

    public func tenant(id: String) -> Tenant? { tenants.first { $0.id == id } }
}

/// Lower-case names to numbers: open addressing, all names in one run of bytes.
struct HostTable: Sendable {
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
