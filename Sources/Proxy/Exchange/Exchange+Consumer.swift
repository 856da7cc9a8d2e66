import Base
import HTTP
import Metrics
import Tenancy

/// Who is behind a request's credentials: what upstreams are told of him, and what a route lets him do.
extension Exchange {
    /// What a route requires beside credentials.
    func check(_ requirements: Requirements, _ head: borrowing RequestHead) throws(Halt) {
        let realm = unsafe head[head.host]
        guard let identity = resolution.identity, !identity.proven.isEmpty || identity.certificate != nil else {
            throw unsafe refuse(.credentialsRequired, IdentityFault.required.detail, realm: realm)
        }
        let key = identity.keyConsumer
        let isMet = unsafe requirements.areMet(
            role: { role in
                unsafe Self.names(key?.roles, contain: role)
                    || Self.names(identity.token?.roles, contain: role) || Self.names(identity.certificateRoles, contain: role)
            },
            scope: { scope in
                unsafe Self.names(key?.scopes, contain: scope) || Self.names(identity.token?.scopes, contain: scope)
            })
        if !isMet { throw unsafe refuse(.forbidden, "these credentials do not allow this", realm: realm) }
    }

    private static func names(_ list: UnsafeRawBufferPointer?, contain name: UnsafeRawBufferPointer) -> Bool {
        unsafe list.map { unsafe Grants.names($0, contain: name) } ?? false
    }

    private static func names(_ list: [UInt8]?, contain name: UnsafeRawBufferPointer) -> Bool {
        guard let list, !list.isEmpty else { return false }
        return unsafe list.withUnsafeBytes { unsafe Grants.names($0, contain: name) }
    }

    /// Fields that only the gateway writes: a client's own never arrive.
    func writeConsumer(_ identity: Identity, to out: inout ByteWriter) {
        let (key, token, certificate) = (identity.keyConsumer, identity.token, identity.certificate)
        if key == nil, token?.saysNothing ?? true, certificate == nil { return }
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        let (named, roles, scopes) = unsafe (key?.name ?? nothing, key?.roles ?? nothing, key?.scopes ?? nothing)
        let subject = token?.subject ?? []
        // Of several that name somebody the first.
        let other = subject.isEmpty ? certificate.map { Self.fieldValue($0.subject) } ?? [] : subject
        unsafe Self.write("X-Tenant-Consumer: ", named, named.isEmpty ? other : [], [], to: &out)
        unsafe Self.write("X-Tenant-Roles: ", roles, token?.roles ?? [], identity.certificateRoles, to: &out)
        unsafe Self.write("X-Tenant-Scopes: ", scopes, token?.scopes ?? [], [], to: &out)
    }

    /// What there is of the three, with commas between.
    private static func write(
        _ name: StaticString, _ first: UnsafeRawBufferPointer, _ second: [UInt8], _ third: [UInt8], to out: inout ByteWriter
    ) {
        if unsafe first.isEmpty, second.isEmpty, third.isEmpty { return }
        out.append(name)
        unsafe out.append(first)
        if unsafe !first.isEmpty, !second.isEmpty { out.append(byte: 0x2C) }
        out.append(second)
        if unsafe !(first.isEmpty && second.isEmpty), !third.isEmpty { out.append(byte: 0x2C) }
        out.append(third)
        out.append("\r\n")
    }

    /// Empty where it can't be said in a field.
    private static func fieldValue(_ text: [UInt8]) -> [UInt8] {
        FieldText.isSafe(text) && text.count <= FieldText.sizeMax ? text : []
    }
}
