import Base
import HTTP
import Tenancy

/// Where a request goes beside its route's upstream, and under which name.
extension Exchange {
    /// The upstream of the side that it is on; nil is the route's own. The same for whoever has the same key, whatever was reloaded.
    func side(of way: Way, _ head: borrowing RequestHead, _ tenant: Tenant) -> Int? {
        if !way.isSplit { return nil }
        var hash = StableHash(seed: Self.sides)
        switch way.key {
        case .client: hash.add(clientAddress.client)
        case .tenant: hash.add(StableHash.of(tenant.id))
        case .key: addConsumer(to: &hash, tenant)
        case .request: hash.add(worker.random.next())
        case .header:
            if let value = unsafe Self.field(way.field, of: head) { unsafe hash.add(value) } else { hash.add(worker.random.next()) }
        }
        return way.upstream(hash.value)
    }

    /// Not those that servers are chosen by: one side would get a part of each server's clients.
    private static let sides: UInt64 = 0x73_6964_6573

    private func addConsumer(to hash: inout StableHash, _ tenant: Tenant) {
        guard let identity = resolution.identity else { return hash.add(clientAddress.client) }
        if let key = identity.key {
            hash.add(tenant.settings.keys[key].digest.words[0])
        } else if let subject = identity.token?.subject, !subject.isEmpty {
            unsafe subject.withUnsafeBytes { unsafe hash.add($0) }
        } else if let certificate = identity.certificate {
            hash.add(certificate.fingerprint.words.0)
        } else {
            hash.add(clientAddress.client)
        }
    }

    /// The rest of the request line, and what the upstream is told of the host.
    func write(_ way: Way, _ head: borrowing RequestHead, to out: inout ByteWriter) {
        if way.rewrites {
            let path = unsafe head.pathOrRoot
            unsafe way.write(to: &out) { room in
                guard room.count >= path.count else { return nil }
                return unsafe PathNormalizer.normalize(path, into: room)
            }
            let query = unsafe head.query
            if unsafe !query.isEmpty {
                out.append(byte: 0x3F)
                unsafe out.append(query)
            }
        } else {
            writeTarget(head, to: &out)
        }
        out.append(" HTTP/1.1\r\n")
        guard let host = unsafe way.host else { return }
        out.append("Host: ")
        unsafe out.append(host)
        out.append("\r\n")
    }
}
