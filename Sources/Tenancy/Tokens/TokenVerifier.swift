import Base
import Crypto

/// Verifies tokens by RFC 7519 and RFC 8725, and remembers those that were good. One a loop.
public final class TokenVerifier {
    public enum Outcome {
        case valid(VerifiedToken)
        case invalid(TokenFault)
        /// The issuer has an address for its keys, and the one that the token names is not among those that we have.
        case unknownKey(issuer: Int)
    }

    private let signatures = SignatureVerifier()
    private let cache = TokenCache()
    private var directory: Directory?
    /// Of each issuer: the keys taken over last.
    private var keys: [(set: KeySet, version: UInt32)] = []
    /// Of each issuer, which the directory keeps.
    private var sources: [Unmanaged<KeySource>] = []

    public init() {}

    /// The digest by which a token is remembered, having asked for the memory that it leads to; nil for one that is too
    /// long to be looked at.
    func lookUp(_ text: UnsafeRawBufferPointer) -> Digest256? {
        guard text.count <= Token.sizeMax else { return nil }
        let digest = SHA256.digest(text)
        cache.prefetch(digest)
        return digest
    }

    /// Looks the token up and verifies it.
    public func verify(_ text: UnsafeRawBufferPointer, in directory: Directory, now: Int64) -> Outcome {
        verify(text, lookUp(text), in: directory, now: now)
    }

    /// - Parameters:
    ///   - digest: what `lookUp` said.
    ///   - now: seconds since 1970.
    ///   - directory: a change of it forgets every token.
    ///   - probable: called with the index of the tenant whose token it may be, before that is certain.
    func verify(
        _ text: UnsafeRawBufferPointer, _ digest: Digest256?, in directory: Directory, now: Int64,
        probable: (Int) -> Void = { _ in }
    ) -> Outcome {
        if self.directory !== directory { adopt(directory) }
        guard let digest else { return .invalid(.tooLarge) }
        if let known = cache.find(digest, probable: probable) {
            if now >= known.token.expires { return .invalid(.expired) }
            if known.version == version(of: known.token.issuer) { return .valid(known.token) }
        }
        let token: Token
        do { token = try Token(text) } catch { return .invalid(error) }
        guard let name = token.claims["iss"]?.text else { return .invalid(.issuer) }
        var fault = TokenFault.issuer
        var hasSigner = false
        var withoutKey: Int?
        var tries = KeySet.triesMax
        for index in directory.issuers(named: name) {
            let signed = UnsafeRawBufferPointer(rebasing: text[..<token.signedCount])
            let (keys, version) = refreshed(index)
            let issuer = directory.issuers[index]
            do throws(TokenFault) {
                try checkSignature(token, signed, keys, issuer, &tries)
                hasSigner = true
                let verified = try accept(token, issuer, index, directory, now)
                cache.insert(digest, verified, version: version)
                return .valid(verified)
            } catch {
                if error == .key, issuer.keys.url != nil, withoutKey == nil { withoutKey = index }
                // What one block says of a signature that is good in another counts for nothing.
                if !error.isGuess || !hasSigner { fault = error }
            }
        }
        // Another block for the same issuer may have the key.
        if let withoutKey, !hasSigner { return .unknownKey(issuer: withoutKey) }
        return .invalid(fault)
    }

    private func adopt(_ directory: Directory) {
        self.directory = directory
        cache.removeAll()
        keys = directory.issuers.map { _ in (KeySet.empty, UInt32.max) }
        sources = directory.issuers.map { .passUnretained($0.keys) }
    }

    /// Of the issuer's newest keys. All loops ask: no reference is counted.
    private func version(of issuer: Int) -> UInt32 { sources[issuer]._withUnsafeGuaranteedRef { $0.version } }

    /// The keys of an issuer: the newest, or those before while they are just being replaced.
    private func refreshed(_ index: Int) -> (set: KeySet, version: UInt32) {
        guard let directory else { return (KeySet.empty, 0) }
        let source = directory.issuers[index].keys
        if keys[index].version != source.version, let (set, version) = source.take() { keys[index] = (set, version) }
        return keys[index]
    }

    private func checkSignature(
        _ token: Token, _ signed: UnsafeRawBufferPointer, _ keys: KeySet, _ issuer: TokenIssuer, _ tries: inout Int
    ) throws(TokenFault) {
        guard issuer.algorithms.contains(token.algorithm) else { throw .algorithm }
        let candidates = keys.candidates(id: token.keyID, token.algorithm)
        if candidates.isEmpty {
            // A key that is there, and is for another algorithm, won't be better after a fetch.
            if let id = token.keyID, keys.has(id: id) { throw .algorithm }
            throw .key
        }
        for candidate in candidates.prefix(tries) {
            tries -= 1
            if signatures.verify(token.signature, of: signed, by: candidate.key, token.algorithm) { return }
        }
        // Where it was tried by keys without a name, the key that it names may come with a fetch.
        throw token.keyID.map(keys.has) ?? true ? .signature : .key
    }

    /// The claims of RFC 7519 section 4.1 of a token whose signature is good.
    private func accept(
        _ token: Token, _ issuer: TokenIssuer, _ index: Int, _ directory: Directory, _ now: Int64
    ) throws(TokenFault) -> VerifiedToken {
        let claims = token.claims
        guard let expires = Self.date(claims["exp"]) else { throw .claims }
        let end = expires + issuer.leeway
        guard now < end else { throw .expired }
        if let value = claims["nbf"] {
            guard let start = Self.date(value) else { throw .claims }
            guard start <= now + issuer.leeway else { throw .notYetValid }
        }
        if let value = claims["iat"], Self.date(value) == nil { throw .claims }
        if !issuer.audiences.isEmpty, !Self.audience(claims["aud"], isOneOf: issuer.audiences) { throw .audience }
        let tenant: Int
        if let path = issuer.tenantClaim {
            guard let id = path.find(in: claims)?.text, let found = directory.index(ofTenant: id) else { throw .tenant }
            tenant = found
        } else {
            guard let sole = directory.soleTenant(ofIssuer: index) else { throw .tenant }
            tenant = sole
        }
        guard directory.tenants[tenant].settings.issuers.contains(index) else { throw .tenant }
        let details = TokenDetails(
            boundTo: try Self.binding(claims["cnf"]), fields: Self.fields(claims, issuer), subject: Self.subject(claims["sub"]),
            roles: ClaimedNames.list(issuer.roleClaim?.find(in: claims)), scopes: ClaimedNames.list(issuer.scopeClaim?.find(in: claims)))
        return VerifiedToken(tenant: tenant, expires: end, issuer: index, details: details.saysNothing ? nil : details)
    }

    /// Whole seconds of a NumericDate (RFC 7519 section 2).
    private static func date(_ value: JSONValue?) -> Int64? {
        switch value {
        case .integer(let seconds) where seconds >= 0 && seconds < 1 << 53: seconds
        case .number(let seconds) where seconds >= 0 && seconds < 0x1p53: Int64(seconds)
        default: nil
        }
    }

    private static func audience(_ value: JSONValue?, isOneOf audiences: [[UInt8]]) -> Bool {
        switch value {
        case .string(let text): audiences.contains(text)
        case .array(let list): list.contains { $0.text.map(audiences.contains) ?? false }
        default: false
        }
    }

    /// A token that is bound in a way that is not checked here must not pass as one that is not bound.
    private static func binding(_ value: JSONValue?) throws(TokenFault) -> Digest256? {
        guard let value else { return nil }
        guard let object = value.object, object.members.count == 1, let text = object["x5t#S256"]?.text,
            let bytes = Base64URL.decode(text), let digest = Digest256(bytes)
        else { throw .binding }
        return digest
    }

    private static func fields(_ claims: JSONObject, _ issuer: TokenIssuer) -> [UInt8] {
        var lines: [UInt8] = []
        for header in issuer.claimHeaders {
            guard let value = header.claim.find(in: claims), let text = fieldValue(value), text.count <= FieldText.sizeMax else {
                continue
            }
            lines += header.start + text + [ASCII.cr, ASCII.lf]
        }
        return lines
    }

    /// Empty where it can't be said in a field.
    private static func subject(_ value: JSONValue?) -> [UInt8] {
        guard case .string? = value, let text = value.flatMap(fieldValue), text.count <= FieldText.sizeMax else { return [] }
        return text
    }

    /// Texts, whole numbers, truth values, and lists of texts without commas; nil for what is no field value.
    private static func fieldValue(_ value: JSONValue) -> [UInt8]? {
        switch value {
        case .string(let text):
            return text.isEmpty || !FieldText.isSafe(text) ? nil : text
        case .integer(let number): return Array(String(number).utf8)
        case .bool(let flag): return Array((flag ? "true" : "false").utf8)
        case .array(let list):
            var parts: [[UInt8]] = []
            for item in list {
                guard case .string = item, let text = fieldValue(item), !text.contains(0x2C) else { return nil }
                parts.append(text)
            }
            return parts.isEmpty ? nil : Array(parts.joined(separator: [0x2C]))
        case .null, .number, .object: return nil
        }
    }
}
