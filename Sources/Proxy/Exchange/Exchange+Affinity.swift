import Base
import Configuration
import HTTP
import Tenancy

/// What a request's server is chosen by, beside what is known of the servers.
extension Exchange {
    /// Which tenant's it is; zero of nobody's.
    var tenantTag: UInt32 { resolution.tenant.map { $0.follow { $0.tag } } ?? 0 }

    /// Reads the key while the head stands. Zero is none: the field or the cookie is not there, or empty.
    func findKey(_ kind: HashKey, _ head: borrowing RequestHead, _ tenant: Tenant) {
        var hash = StableHash()
        switch kind {
        case .client: hash.add(clientAddress.client)
        case .tenant: return request.affinity = StableHash.of(tenant.id) | 1
        case .path: unsafe hash.add(head[head.path])
        case .header(let name):
            guard let value = unsafe Self.field(name, of: head), unsafe !value.isEmpty else { return }
            unsafe hash.add(value)
        case .cookie(let name):
            guard let value = unsafe Self.cookie(name, of: head), unsafe !value.isEmpty else { return }
            unsafe hash.add(value)
        }
        request.affinity = hash.value | 1
    }

    private static func field(_ name: [UInt8], of head: borrowing RequestHead) -> UnsafeRawBufferPointer? {
        unsafe name.withUnsafeBytes { unsafe field($0, of: head) }
    }

    /// The value of the first field of that name, which is lower case.
    static func field(_ name: UnsafeRawBufferPointer, of head: borrowing RequestHead) -> UnsafeRawBufferPointer? {
        for i in 0..<head.fields.count where unsafe spells(head[head.fields[i].name], name) { return unsafe head[head.fields[i].value] }
        return nil
    }

    /// The value of the first cookie of that name (RFC 6265 section 4.2). HTTP/2 may split the field between cookies.
    private static func cookie(_ name: [UInt8], of head: borrowing RequestHead) -> UnsafeRawBufferPointer? {
        for i in 0..<head.fields.count where head.fields[i].id == .cookie {
            let all = unsafe head[head.fields[i].value]
            var at = 0
            while at < all.count {
                while at < all.count, unsafe all[at] == ASCII.space || all[at] == UInt8(ascii: ";") { at += 1 }
                var end = at
                while end < all.count, unsafe all[end] != UInt8(ascii: ";") { end += 1 }
                let pair = unsafe UnsafeRawBufferPointer(rebasing: all[at..<end])
                if pair.count > name.count, unsafe pair[name.count] == UInt8(ascii: "="), unsafe pair.starts(with: name) {
                    return unsafe UnsafeRawBufferPointer(rebasing: pair[(name.count + 1)...])
                }
                at = end
            }
        }
        return nil
    }
}
