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
    func claim(_ head: borrowing RequestHead, in view: WorkerView) -> Claim {
        var claim = unsafe Claim(owner: view.directory.owner(host: head[head.host]))
        switch claim.owner {
        case .nobody: break
        case .tenant(let tenant): view.prefetch(tenant.index)
        case .shared:
            present(head, asks: [.apiKey, .jwt], in: &claim.presented)
            worker.identities.lookUp(&claim.presented, in: view.directory)
        }
        return claim
    }

    /// - Parameter asks: the kinds that are asked for. Of others only the gateway's own can be told.
    private func present(_ head: borrowing RequestHead, asks: CredentialSet, in presented: inout PresentedCredentials) {
        if let field = head.fields.first(.xAPIKey) {
            let value = unsafe head[field.value]
            unsafe presented.key = asks.contains(.apiKey) ? value : APIKey.found(in: value) ?? value
        }
        if let field = head.fields.first(.authorization) { unsafe presented.bearer = Self.bearer(head[field.value]) }
    }

    /// Keys of the gateway's own making: no application has a use for one, and nobody else makes any. Where nobody asks for
    /// credentials they say who somebody is all the same.
    private func ownKeys(in head: borrowing RequestHead) -> PresentedCredentials {
        var found = PresentedCredentials()
        for i in 0..<head.fields.count {
            let field = head.fields[i]
            if field.id == .xAPIKey, let key = unsafe APIKey.found(in: head[field.value]) { unsafe found.key = unsafe key }
            if field.id == .authorization, let key = unsafe APIKey.found(in: head[field.value]) { unsafe found.bearer = unsafe key }
        }
        return found
    }

    func identify(
        _ claim: Claim, _ head: borrowing RequestHead, after pause: Pause?, in view: WorkerView
    ) throws(Halt) -> Tenant {
        let origin = client.origin
        if client.isH2, unsafe !origin.covers(head[head.host]) {
            throw refuse(.misdirected, "this host is not served on this connection")
        }
        switch claim.owner {
        case .nobody: throw refuse(.misdirected, "this host is not served on this connection")
        case .tenant(let tenant):
            if let named = origin.namedTenant(in: view), named != tenant.id {
                throw refuse(.misdirected, "this host is not served on this connection")
            }
            if tenant.hasDoor { try passDoor(of: tenant, head, in: view) }
            // Where nobody asks for credentials, they are the application's.
            let examines = !tenant.examined.isEmpty
            let shows = head.fields.present.intersects(FieldSet(.authorization) | .xAPIKey)
            var presented = PresentedCredentials()
            if shows, !examines { presented = ownKeys(in: head) }
            let showsOwnKey = unsafe presented.key != nil || presented.bearer != nil
            if !examines, !showsOwnKey, !tenant.wantsCertificate, origin.certificate(in: view, now: seconds) == nil { return tenant }
            if case .guess = pause { throw refuseGuess(head, host: tenant, in: view) }
            if examines || showsOwnKey { try standOnce(head, host: tenant, in: view) }
            if examines { present(head, asks: tenant.examined, in: &presented) }
            return try resolve(presented, head, host: tenant, server: nil, after: pause, in: view)
        case .shared:
            if case .guess = pause { throw refuseGuess(head, host: nil, in: view) }
            try standOnce(head, host: nil, in: view)
            let server = origin.namedTenant(in: view).flatMap { view.directory.tenant(id: $0) }
            let tenant = try resolve(claim.presented, head, host: nil, server: server, after: pause, in: view)
            // Whose it is nothing else could tell.
            if tenant.hasDoor { try passDoor(of: tenant, head, in: view) }
            return tenant
        }
    }

    /// Wall time, seconds since 1970.
    private var seconds: UInt64 { worker.wall(worker.loop.now) / 1_000_000_000 }

    /// Which one counts would be a matter of taste.
    private func standOnce(_ head: borrowing RequestHead, host: Tenant?, in view: WorkerView) throws(Halt) {
        if head.fields.repeated.intersects(FieldSet(.authorization) | .xAPIKey) {
            if let host { attribute(to: host, in: view) }
            throw refuse(.badRequest, "credentials stand twice")
        }
    }

    private func resolve(
        _ presented: PresentedCredentials, _ head: borrowing RequestHead, host: Tenant?, server: Tenant?, after pause: Pause?,
        in view: WorkerView
    ) throws(Halt) -> Tenant {
        var presented = presented
        presented.certificate = client.origin.certificate(in: view, now: seconds)
        let address = clientAddress.client
        let verdict = worker.identities.resolve(
            host: host, server: server, &presented, in: view.directory, now: Int64(seconds),
            looksAtUnasked: { worker.unasked.areLeft(client: address, now: worker.loop.now) },
            probable: { view.prefetch($0) })
        switch verdict {
        case .identified(let identity):
            if identity.wasUnasked { worker.unasked.spend(client: address, now: worker.loop.now) }
            resolution.identity = identity
            return identity.tenant
        case .refused(let fault):
            // The tenant of the host is known whatever the credentials say: what it refuses is counted as its own.
            if let host { attribute(to: host, in: view) }
            throw refuse(fault, head, after: pause)
        case .unknownKey(let issuer):
            if let until = keysComeUntil(view.directory.issuers[issuer].keys, after: pause) {
                throw .aside(.keys(until: until))
            }
            if let host { attribute(to: host, in: view) }
            throw refuse(.invalidToken(.key), head, after: pause)
        }
    }

    /// How long to wait for an issuer's keys; nil where that is no use, or any more.
    private func keysComeUntil(_ keys: KeySource, after pause: Pause?) -> UInt64? {
        let now = worker.loop.now
        switch pause {
        case nil: return keys.want() ? now + Limits.keyWaitNanoseconds : nil
        // It may have been woken by another issuer's fetch.
        case .keys(let until): return keys.isAwaited && now < until ? until : nil
        case .guess, .openGuess: return nil
        }
    }

    /// Whether the identity is enough for this route.
    func admit(to route: Route, _ head: borrowing RequestHead, after pause: Pause?) throws(Halt) {
        guard let identity = resolution.identity else { return }
        if let fault = IdentityResolver.fault(of: identity, for: route.methods) { throw refuse(fault, head, after: pause) }
        // Anybody may come here, and still learns from the answer whether a key is a key.
        if let fault = identity.fault, fault.isGuess, pause == nil, isDamped { throw .aside(.openGuess) }
    }

    /// What follows `Bearer` (RFC 6750 section 2.1). Of another scheme a key of the gateway's own making, which means the same
    /// wherever it stands.
    private static func bearer(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard value.count > 7, unsafe value[6] == ASCII.space,
            unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: value[..<6]), "bearer")
        else { return unsafe APIKey.found(in: value) }
        var start = 7
        while start < value.count, unsafe value[start] == ASCII.space { start += 1 }
        let text = unsafe UnsafeRawBufferPointer(rebasing: value[start...])
        return unsafe APIKey.isOwn(text) ? APIKey.found(in: text) ?? text : text
    }

    // MARK: Refusals

    private func refuse(_ fault: IdentityFault, _ head: borrowing RequestHead, after pause: Pause?) -> Halt {
        let realm = unsafe head[head.host]
        switch fault {
        case .required, .certificateRequired:
            if let view = resolution.view, client.origin.hasLapsedCertificate(in: view, now: seconds) { client.retire() }
            return unsafe refuse(.credentialsRequired, fault.detail, realm: realm)
        case .mismatch: return unsafe refuse(.tenantMismatch, fault.detail, realm: realm)
        case .invalidKey, .expiredKey, .invalidToken, .invalidCertificate:
            return unsafe fault.isGuess && isDamped ? .aside(.guess) : refuse(.credentialsInvalid, fault.detail, realm: realm)
        }
    }

    /// The answer to one guess too many, once it has waited. What was found out before is not found out again.
    private func refuseGuess(_ head: borrowing RequestHead, host: Tenant?, in view: WorkerView) -> Halt {
        if let host { attribute(to: host, in: view) }
        client.retire()
        worker.note(.guesses, of: client.origin, at: clientAddress)
        return unsafe refuse(.rateLimited, "too many credentials from here were not valid", realm: head[head.host])
    }

    /// As far as it is known.
    var clientAddress: SocketAddress { request.provenance?.client ?? client.origin.peer }

    /// Counts a failure by the client's own address and the tenant that it was meant for.
    private var isDamped: Bool {
        let (address, now) = (clientAddress.client, worker.loop.now)
        let tenant = resolution.tenant.map { $0.follow { $0.id } } ?? resolution.view.flatMap { client.origin.namedTenant(in: $0) }
        return GuessDamper.shared.withLock { $0.failed(client: address, tenant: tenant, now: now) }
    }

    /// RFC 6750 section 3: no error where nothing was presented.
    func writeChallenge(_ realm: UnsafeRawBufferPointer, to out: inout ByteWriter) {
        switch answer.refusal {
        case .credentialsRequired, .credentialsInvalid, .forbidden:
            // Of others than tokens there is no challenge for what they do not allow.
            if answer.refusal == .forbidden, resolution.identity?.token == nil { return }
            out.append("\r\nWWW-Authenticate: Bearer realm=\"")
            unsafe out.append(realm)
            out.append(byte: 0x22)
            if answer.refusal == .credentialsInvalid { out.append(", error=\"invalid_token\"") }
            if answer.refusal == .forbidden { out.append(", error=\"insufficient_scope\"") }
        case .rateLimited where bill.verdict.isAdmitted: out.append("\r\nRetry-After: 2")
        default: break
        }
    }

    /// The name of the key that it came with, for the access log.
    var keyName: String? {
        guard let identity = resolution.identity, let key = identity.key else { return nil }
        return identity.tenant.settings.keys[key].name
    }
}
