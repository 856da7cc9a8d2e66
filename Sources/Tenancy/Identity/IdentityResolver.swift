import Base
import Crypto

/// What a request shows of who it is for, beside its host. The bytes are the request's own.
public struct PresentedCredentials {
    /// `X-API-Key`.
    public var key: UnsafeRawBufferPointer?
    /// What follows `Authorization: Bearer`.
    public var bearer: UnsafeRawBufferPointer?
    public var certificate: ClientCertificate?

    /// What a bearer's text turned out to be.
    enum Kind { case key, token, other }

    // Once they were looked up: the digests by which they are known; nil of what can't be one or is too long to be looked at.
    var isLookedUp = false
    var keyDigest: Digest256?
    var bearerKind = Kind.other
    var bearerDigest: Digest256?

    public init() {}
}

/// Whom a request's credentials name, and what becomes of them.
public struct Identity {
    public var tenant: Tenant
    /// Index into the settings of the tenant's keys; nil without a key.
    public var key: Int?
    public var token: VerifiedToken?
    /// Of its key; nil without one, or where keys say nothing of anybody.
    public var keyConsumer: KeyConsumer?
    /// One that its tenant takes.
    public var certificate: ClientCertificate?
    /// What that lets do: names with commas between.
    public var certificateRoles: [UInt8] = []
    /// The kinds of credentials that were presented and are good.
    public var proven: CredentialSet = []
    /// Presented, of a kind that this tenant takes, and not good.
    public var fault: IdentityFault?
    /// Something was shown that nobody asked for and that names nobody, and was looked at all the same.
    public var wasUnasked = false
    /// `X-API-Key` ends here.
    public var dropsKey = false
    /// `Authorization` ends here: it carried an API key.
    public var dropsAuthorization = false

    init(_ tenant: Tenant) { self.tenant = tenant }
}

/// Why a request's credentials are refused.
public enum IdentityFault: Sendable, Equatable {
    case required
    case invalidKey
    /// It was good once.
    case expiredKey
    case invalidToken(TokenFault)
    /// Two identities name different tenants.
    case mismatch
    case certificateRequired
    case invalidCertificate

    /// Whether whoever tries it may be guessing: nobody guesses what is well signed, or was good once.
    public var isGuess: Bool {
        switch self {
        case .invalidKey: true
        case .invalidToken(let fault): fault.isGuess
        case .required, .expiredKey, .mismatch, .certificateRequired, .invalidCertificate: false
        }
    }

    /// For the client: says nothing about what else exists here.
    public var detail: StaticString {
        switch self {
        case .required: "this service wants an API key or a token"
        case .invalidKey, .expiredKey: "the API key is not valid here"
        case .invalidToken(let fault): fault.detail
        case .mismatch: "the credentials and the host do not belong together"
        case .certificateRequired: "this service wants a client certificate"
        case .invalidCertificate: "the client certificate is not accepted here"
        }
    }
}

public enum IdentityVerdict {
    case identified(Identity)
    case refused(IdentityFault)
    /// The token's key may come with the next fetch of its issuer's keys.
    case unknownKey(issuer: Int)
}

/// Combines the identities that a request carries: all of them must name the same tenant. One a loop.
public final class IdentityResolver {
    private let tokens = TokenVerifier()

    public init() {}

    /// Finds out what was presented and asks for the memory that it leads to, so that it is there when `resolve` comes.
    /// Need not be called.
    public func lookUp(_ presented: inout PresentedCredentials, in directory: Directory) {
        presented.isLookedUp = true
        if let key = presented.key { presented.keyDigest = digest(ofKey: key, directory) }
        guard let bearer = presented.bearer else { return }
        if APIKey.isOwn(bearer) {
            (presented.bearerKind, presented.bearerDigest) = (.key, digest(ofKey: bearer, directory))
        } else if Token.looksLikeOne(bearer) {
            (presented.bearerKind, presented.bearerDigest) = (.token, tokens.lookUp(bearer))
        }
    }

    private func digest(ofKey key: UnsafeRawBufferPointer, _ directory: Directory) -> Digest256? {
        // A mistyped key of our own making is told apart by its checksum.
        guard !key.isEmpty, key.count <= APIKey.sizeMax, !APIKey.isOwn(key) || APIKey.isWellFormed(key) else { return nil }
        let digest = SHA256.digest(key)
        directory.keys.prefetch(digest)
        return digest
    }

    /// - Parameters:
    ///   - host: the tenant of the host; nil on a shared host.
    ///   - server: the tenant of the TLS server name, where it names one.
    ///   - now: seconds since 1970.
    ///   - looksAtUnasked: whether credentials of a kind that the host's tenant does not take are looked at; called where there
    ///     are some.
    ///   - probable: called with the index of a tenant as soon as a credential seems to be its own, before anything of it
    ///     is looked at: whatever will be needed can be asked for at once.
    public func resolve(
        host: Tenant?, server: Tenant?, _ presented: inout PresentedCredentials, in directory: Directory, now: Int64,
        looksAtUnasked: () -> Bool = { true }, probable prefetch: (Int) -> Void = { _ in }
    ) -> IdentityVerdict {
        var named = host ?? server
        var found = Found()
        if !presented.isLookedUp { lookUp(&presented, in: directory) }
        if presented.key != nil {
            let isOwn = presented.key.map(APIKey.isOwn) ?? false
            guard take(presented.keyDigest, isOwn: isOwn, of: host, directory, now, &named, &found, looksAtUnasked, prefetch) else {
                return .refused(.mismatch)
            }
            if found.dropsCredential { found.dropsKey = true }
        }
        if let bearer = presented.bearer {
            found.dropsCredential = false
            switch presented.bearerKind {
            case .key:
                guard take(presented.bearerDigest, isOwn: true, of: host, directory, now, &named, &found, looksAtUnasked, prefetch) else {
                    return .refused(.mismatch)
                }
                if found.dropsCredential { found.dropsAuthorization = true }
            case .token:
                switch takeToken(bearer, presented, of: host, directory, now, &named, &found, looksAtUnasked, prefetch) {
                case nil: break
                case .some(let verdict): return verdict
                }
            case .other:
                if host.map({ $0.examined.contains(.jwt) }) ?? true { found.note(.invalidToken(.malformed)) }
            }
        }
        let owner = presented.certificate.flatMap(directory.tenant(of:))
        if let owner {
            if let other = named, other != owner { return .refused(.mismatch) }
            if host == nil, server == nil, named == nil { named = owner }
        }
        // On a shared host it is the key, the token or the certificate that names the tenant, not the server name alone.
        guard let tenant = named, host != nil || !found.proven.isEmpty || owner == tenant else {
            return .refused(found.fault ?? .required)
        }
        if host == nil, let fault = found.fault { return .refused(fault) }
        if tenant.wantsCertificate {
            guard presented.certificate != nil else { return .refused(.certificateRequired) }
            guard owner == tenant || directory.takesAnyCertificate(tenant) else { return .refused(.invalidCertificate) }
        }
        var identity = Identity(tenant)
        identity.key = found.key.map { $0 - tenant.firstKey }
        if let position = found.key { identity.keyConsumer = directory.consumer(ofKey: position) }
        if let certificate = presented.certificate, owner == tenant || directory.takesAnyCertificate(tenant) {
            (identity.certificate, identity.certificateRoles) = (certificate, directory.roles(of: certificate, for: tenant))
        }
        identity.token = found.token
        identity.proven = found.proven
        identity.fault = found.fault
        identity.wasUnasked = found.wasUnasked
        identity.dropsKey = found.dropsKey
        identity.dropsAuthorization = found.dropsAuthorization
        return .identified(identity)
    }

    /// Whether what was proven is enough for a place that wants one of `methods`.
    public static func fault(of identity: Identity, for methods: CredentialSet) -> IdentityFault? {
        if methods.isEmpty { return nil }
        if let fault = identity.fault { return fault }
        return identity.proven.isDisjoint(with: methods) ? .required : nil
    }

    /// What the credentials have shown so far.
    private struct Found {
        /// Position in the table.
        var key: Int?
        var token: VerifiedToken?
        var proven: CredentialSet = []
        var fault: IdentityFault?
        var wasUnasked = false
        var dropsKey = false
        var dropsAuthorization = false
        /// The credential looked at last is the gateway's and not the application's.
        var dropsCredential = false

        /// Of several the one that may be a guess counts: what else was shown beside it excuses nothing.
        mutating func note(_ fault: IdentityFault) {
            if self.fault?.isGuess != true { self.fault = fault }
        }
    }

    /// False when the key is another tenant's.
    /// - Parameter isOwn: it has the gateway's own form. With a digest it is whole, and ends here whoever asks for it or not.
    private func take(
        _ digest: Digest256?, isOwn: Bool, of host: Tenant?, _ directory: Directory, _ now: Int64, _ named: inout Tenant?,
        _ found: inout Found, _ looksAtUnasked: () -> Bool, _ prefetch: (Int) -> Void
    ) -> Bool {
        let isWanted = host.map { $0.examined.contains(.apiKey) } ?? true
        if isWanted || isOwn && digest != nil { found.dropsCredential = true }
        // Nobody guesses one of our own form.
        if !isWanted, !isOwn, !looksAtUnasked() { return true }
        guard let digest, let owner = directory.keys.find(digest, probable: prefetch) else {
            if isWanted { found.note(.invalidKey) } else if !isOwn { found.wasUnasked = true }
            return true
        }
        found.dropsCredential = true
        let tenant = directory.tenants[Int(owner.tenant)]
        guard now < Int64(owner.expires) || owner.expires == KeyTable.Owner.never else {
            found.note(.expiredKey)
            return true
        }
        if let other = named, other != tenant { return false }
        named = tenant
        if found.key == nil { found.key = owner.position }
        found.proven.insert(.apiKey)
        return true
    }

    /// A verdict that ends the matter; nil to go on.
    private func takeToken(
        _ text: UnsafeRawBufferPointer, _ presented: borrowing PresentedCredentials, of host: Tenant?, _ directory: Directory,
        _ now: Int64, _ named: inout Tenant?, _ found: inout Found, _ looksAtUnasked: () -> Bool, _ prefetch: (Int) -> Void
    ) -> IdentityVerdict? {
        let isWanted = host.map { $0.examined.contains(.jwt) } ?? true
        if !isWanted, !looksAtUnasked() { return nil }
        switch tokens.verify(text, presented.bearerDigest, in: directory, now: now, probable: prefetch) {
        case .unknownKey(let issuer):
            return isWanted ? .unknownKey(issuer: issuer) : nil
        case .invalid(let fault):
            // Where no token is asked for it is the application's, whatever it is.
            if isWanted { found.note(.invalidToken(fault)) } else if fault == .signature { found.wasUnasked = true }
            return nil
        case .valid(let token):
            if let bound = token.boundTo, bound != presented.certificate?.fingerprint {
                if isWanted { found.note(.invalidToken(.binding)) }
                return nil
            }
            let tenant = directory.tenants[token.tenant]
            if let other = named, other != tenant { return .refused(.mismatch) }
            named = tenant
            found.token = token
            found.proven.insert(.jwt)
            return nil
        }
    }
}
