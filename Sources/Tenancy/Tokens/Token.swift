import Base
import Crypto
import Glibc

/// A signed token (JWS compact serialisation, RFC 7515 section 7.1) taken apart; nothing in it is believed yet.
struct Token {
    var algorithm: SignatureAlgorithm
    var keyID: [UInt8]?
    var claims: JSONObject
    var signature: [UInt8]
    /// Bytes that are signed, from the token's first on.
    var signedCount: Int

    /// Bytes of a token. Larger ones cost more than they can be worth.
    static let sizeMax = 16 << 10

    /// Three parts with two dots between them: what else is a token is not one for us.
    static func looksLikeOne(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let base = text.baseAddress else { return false }
        var (dots, next) = (0, base)
        while dots < 3, let dot = memchr(next, 0x2E, base + text.count - next) {
            (dots, next) = (dots + 1, UnsafeRawPointer(dot) + 1)
        }
        return dots == 2
    }

    init(_ text: UnsafeRawBufferPointer) throws(TokenFault) {
        guard text.count <= Self.sizeMax else { throw .tooLarge }
        guard let first = text.firstIndex(of: 0x2E), let last = text.lastIndex(of: 0x2E), first < last,
            !text[(first + 1)..<last].contains(0x2E)
        else { throw .malformed }
        func part(_ range: Range<Int>) throws(TokenFault) -> [UInt8] {
            guard !range.isEmpty, let bytes = Base64URL.decode(UnsafeRawBufferPointer(rebasing: text[range])) else {
                throw .malformed
            }
            return bytes
        }
        func object(_ range: Range<Int>) throws(TokenFault) -> JSONObject {
            let bytes = try part(range)
            guard let value = try? JSONValue(json: bytes), let object = value.object else { throw .malformed }
            return object
        }
        let header = try object(0..<first)
        (algorithm, keyID) = try Self.read(header)
        claims = try object((first + 1)..<last)
        signature = try part((last + 1)..<text.count)
        signedCount = last
    }

    /// RFC 7515 section 4.1 and RFC 8725 section 3.
    private static func read(_ header: JSONObject) throws(TokenFault) -> (SignatureAlgorithm, [UInt8]?) {
        // Keys come from the configuration, never from the token; and no extension is understood here. `b64`, `enc` and
        // `zip` would mean that the payload is something else.
        for member in header.members {
            for name in ["jku", "x5u", "jwk", "x5c", "crit", "b64", "enc", "zip"] as [StaticString]
            where member.name.spells(name) {
                throw .header
            }
        }
        if let content = header["cty"], !content.isText("json") { throw .header }
        if let type = header["typ"] {
            // Tokens made for other purposes (logout, proof of possession) say so here (RFC 8725 section 3.11).
            guard let text = type.text else { throw .header }
            let lowered = text.map(ASCII.lowercase)
            let known: [StaticString] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"]
            guard known.contains(where: lowered.spells) else { throw .header }
        }
        guard let name = header["alg"]?.text, let algorithm = SignatureAlgorithm(name: name) else { throw .algorithm }
        guard let id = header["kid"] else { return (algorithm, nil) }
        guard let text = id.text, text.count <= 1024 else { throw .header }
        return (algorithm, text)
    }
}

/// Why a token is not accepted.
public enum TokenFault: Error, Sendable, Equatable {
    case malformed, tooLarge, header, algorithm, issuer, key, signature
    case audience, expired, notYetValid, claims, tenant, binding

    /// Whether its signature is missing or wrong: what is found only behind a good one nobody has guessed.
    var isGuess: Bool {
        switch self {
        case .malformed, .tooLarge, .header, .algorithm, .issuer, .key, .signature: true
        case .audience, .expired, .notYetValid, .claims, .tenant, .binding: false
        }
    }

    /// For the client: says nothing about what else exists here.
    public var detail: StaticString {
        switch self {
        case .malformed: "the token is malformed"
        case .tooLarge: "the token is too large"
        case .header: "the token's header is not accepted"
        case .algorithm: "the token's algorithm is not accepted"
        case .expired: "the token has expired"
        case .notYetValid: "the token is not valid yet"
        case .audience: "the token is for another audience"
        case .binding: "the token is bound to another client certificate"
        case .issuer, .key, .signature, .claims, .tenant: "the token is not valid here"
        }
    }
}

/// What a verified token says, for as long as it holds.
public struct VerifiedToken: Sendable {
    private let tenantIndex: Int32
    private let issuerIndex: Int32
    /// Seconds since 1970 up to which it is good, leeway included.
    let expires: Int64
    /// nil of most: only a tenant and a time are counted from one request to the next.
    let details: TokenDetails?

    init(tenant: Int, expires: Int64, issuer: Int, details: TokenDetails?) {
        (tenantIndex, self.expires, issuerIndex, self.details) = (Int32(tenant), expires, Int32(issuer), details)
    }

    /// Index of the tenant in its directory.
    public var tenant: Int { Int(tenantIndex) }
    var issuer: Int { Int(issuerIndex) }
    /// The client certificate that it is bound to (RFC 8705 section 3.1).
    public var boundTo: Digest256? { details?.boundTo }
    /// Claims as whole header lines towards the upstream; nil for none.
    public var fields: [UInt8]? { details?.fields }
    public var saysNothing: Bool { details == nil }
    /// Its subject, as a field's value.
    public var subject: [UInt8] { details?.subject ?? [] }
    /// What it gives: names with commas between.
    public var roles: [UInt8] { details?.roles ?? [] }
    public var scopes: [UInt8] { details?.scopes ?? [] }
}

/// What some tokens say beside whose they are.
final class TokenDetails: Sendable {
    let boundTo: Digest256?
    let fields: [UInt8]
    let subject: [UInt8]
    let roles: [UInt8]
    let scopes: [UInt8]

    init(boundTo: Digest256?, fields: [UInt8], subject: [UInt8], roles: [UInt8], scopes: [UInt8]) {
        (self.boundTo, self.fields, self.subject, self.roles, self.scopes) = (boundTo, fields, subject, roles, scopes)
    }

    var saysNothing: Bool { boundTo == nil && fields.isEmpty && subject.isEmpty && roles.isEmpty && scopes.isEmpty }
}
