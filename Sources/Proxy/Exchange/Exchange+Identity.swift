import Base
import HTTP
import Metrics
import Net
import Tenancy

/// Whose request it is: all identities that it carries must name the same tenant.
extension Exchange {
    /// What a request says of who it is for.
    struct Claim {
        let owner: Directory.HostOwner
        /// Of a request to a shared host: its credentials, looked up.
        var presented = PresentedCredentials()
    }

    /// The first look, so that memory that is needed next has time to come: with many tenants none of it is in the
    /// processor's caches.
    func claim(_ bytes: UnsafeRawBufferPointer, in lease: Lease) -> Claim {
        var claim = Claim(owner: lease.directory.owner(host: bytes[worker.requestHead.host]))
        switch claim.owner {
        case .nobody: break
        case .tenant(let tenant): lease.prefetch(tenant.index)
        case .shared:
            present(bytes, in: &claim.presented)
            worker.identities.lookUp(&claim.presented, in: lease.directory)
        }
        return claim
    }

    private func present(_ bytes: UnsafeRawBufferPointer, in presented: inout PresentedCredentials) {
        if let field = worker.requestHead.fields.first(.xAPIKey) { presented.key = bytes[field.value] }
        if let field = worker.requestHead.fields.first(.authorization) { presented.bearer = Self.bearer(bytes[field.value]) }
    }

    /// The tenant, or nil after a refusal, or when the request is set aside.
    func identify(_ claim: Claim, _ bytes: UnsafeRawBufferPointer, in lease: Lease, trusted: Bool) -> Tenant? {
        switch claim.owner {
        case .nobody:
            _ = refuse(.misdirected, "this host is not served on this connection")
            return nil
        case .tenant(let tenant):
            if let named = client.namedTenant, named != tenant.id {
                _ = refuse(.misdirected, "this host is not served on this connection")
                return nil
            }
            // Where nobody asks for credentials, they are the application's.
            let examines = !tenant.examined.isEmpty
            if !examines, !tenant.wantsCertificate, client.certificate == nil { return tenant }
            if examines, standTwice() { return nil }
            var presented = PresentedCredentials()
            if examines { present(bytes, in: &presented) }
            return resolve(presented, bytes, host: tenant, server: nil, in: lease, trusted: trusted)
        case .shared:
            if standTwice() { return nil }
            let server = client.namedTenant.flatMap { lease.directory.tenant(id: $0) }
            return resolve(claim.presented, bytes, host: nil, server: server, in: lease, trusted: trusted)
        }
    }

    /// True after a refusal: which one counts would be a matter of taste.
    private func standTwice() -> Bool {
        guard worker.requestHead.fields.repeated.intersects(FieldSet(.authorization) | .xAPIKey) else { return false }
        _ = refuse(.badRequest, "credentials stand twice")
        return true
    }

    private func resolve(
        _ presented: PresentedCredentials, _ bytes: UnsafeRawBufferPointer, host: Tenant?, server: Tenant?, in lease: Lease,
        trusted: Bool
    ) -> Tenant? {
        var presented = presented
        presented.certificate = client.certificate
        let now = Int64(worker.wall(worker.loop.now) / 1_000_000_000)
        let verdict = worker.identities.resolve(host: host, server: server, &presented, in: lease.directory, now: now) {
            lease.prefetch($0)
        }
        switch verdict {
        case .identified(let identity):
            self.identity = identity
            return identity.tenant
        case .refused(let fault):
            // The tenant of the host is known whatever the credentials say: what it refuses is counted as its own.
            if let host { attribute(to: host, in: lease) }
            _ = refuse(fault, bytes, trusted: trusted)
        case .unknownKey(let issuer):
            let keys = lease.directory.issuers[issuer].keys
            // It may have been woken by another issuer's fetch.
            if client.paused == nil ? keys.want() : keys.isAwaited && client.mayWaitForKeys {
                setAside = .keys
            } else {
                if let host { attribute(to: host, in: lease) }
                _ = refuse(.invalidToken(.key), bytes, trusted: trusted)
            }
        }
        return nil
    }

    /// Whether the identity is enough for this route; false after a refusal, or when the request is set aside.
    func isAdmitted(to route: Route, _ bytes: UnsafeRawBufferPointer, trusted: Bool) -> Bool {
        guard let identity, let fault = IdentityResolver.fault(of: identity, for: route.methods) else { return true }
        return refuse(fault, bytes, trusted: trusted)
    }

    /// What follows `Bearer` (RFC 6750 section 2.1); nil for another scheme.
    private static func bearer(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard value.count > 7, value[6] == ASCII.space,
            ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: value[..<6]), "bearer")
        else { return nil }
        var start = 7
        while start < value.count, value[start] == ASCII.space { start += 1 }
        return UnsafeRawBufferPointer(rebasing: value[start...])
    }

    // MARK: Refusals

    private func refuse(_ fault: IdentityFault, _ bytes: UnsafeRawBufferPointer, trusted: Bool) -> Bool {
        realm = bytes[worker.requestHead.host]
        defer { realm = nil }
        switch fault {
        case .required, .certificateRequired:
            if client.hasLapsedCertificate { keepAlive = false }
            return refuse(.credentialsRequired, fault.detail)
        case .mismatch: return refuse(.tenantMismatch, fault.detail)
        case .invalidKey, .invalidToken, .invalidCertificate:
            guard client.paused == .guess || isGuess(bytes, trusted: trusted) else {
                return refuse(.credentialsInvalid, fault.detail)
            }
            if client.paused != .guess {
                setAside = .guess
                return false
            }
            keepAlive = false
            return refuse(.rateLimited, "too many credentials from here were not valid")
        }
    }

    /// Counts a failure by the client's own address, as far as it is known.
    private func isGuess(_ bytes: UnsafeRawBufferPointer, trusted: Bool) -> Bool {
        var address = client.peer
        if trusted, worker.requestHead.fields.first(.xForwardedFor) != nil, let real = realClient(bytes),
            let parsed = SocketAddress(String(decoding: real, as: UTF8.self), port: 0)
        {
            address = parsed
        }
        return worker.guesses.failed(high: address.high, low: address.low, now: worker.loop.now)
    }

    /// RFC 6750 section 3: no error where nothing was presented.
    func writeChallenge(to out: inout ByteWriter) {
        switch refusal {
        case .credentialsRequired, .credentialsInvalid:
            out.append("\r\nWWW-Authenticate: Bearer realm=\"")
            if let realm { out.append(realm) }
            out.append(byte: 0x22)
            if refusal == .credentialsInvalid { out.append(", error=\"invalid_token\"") }
        case .rateLimited where verdict.isAdmitted: out.append("\r\nRetry-After: 2")
        default: break
        }
    }

    /// The name of the key that it came with, for the access log.
    var keyName: String? {
        guard let identity, let key = identity.key else { return nil }
        return identity.tenant.settings.keys[key].name
    }
}
