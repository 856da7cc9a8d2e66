import Base

/// What a request may present to say which tenant it is for.
public enum AuthenticationMethod: Sendable, Equatable { case apiKey, jwt }

/// The SHA-256 of an API key, or of a certificate.
public struct DigestSettings: Sendable, Hashable {
    /// The 32 bytes as words in the order of the bytes, each in the machine's byte order.
    public var words: InlineArray<4, UInt64>

    /// `sha256:` and 64 hexadecimal digits; nil for anything else.
    init?(_ text: String) {
        let digits = Array(text.utf8.dropFirst(7))
        guard text.hasPrefix("sha256:"), digits.count == 64 else { return nil }
        words = InlineArray(repeating: 0)
        for word in 0..<4 {
            var value: UInt64 = 0
            for digit in digits[16 * word..<16 * word + 16] {
                guard let nibble = ASCII.hexValue(digit) else { return nil }
                value = value << 4 | UInt64(nibble)
            }
            words[word] = value.bigEndian
        }
    }

    /// Its first eight bytes in hexadecimal, enough to tell keys apart.
    public var text: String {
        let digits = String(UInt64(bigEndian: words[0]), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    public static func == (a: DigestSettings, b: DigestSettings) -> Bool {
        a.words[0] == b.words[0] && a.words[1] == b.words[1] && a.words[2] == b.words[2] && a.words[3] == b.words[3]
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(words[0]) }
}

public struct KeySettings: Sendable, Equatable {
    public var digest: DigestSettings
    /// For logs and statements.
    public var name: String?
    /// Seconds since 1970 from which on it is no longer good.
    public var expires: UInt32?
    /// What whoever has it may do.
    public var roles: [String] = []
    public var scopes: [String] = []
    /// Limits of its own, beside its tenant's.
    public var usage = UsageSettings()
    public init(digest: DigestSettings) { self.digest = digest }
}

/// How one issuer's tokens are verified.
public struct IssuerSettings: Sendable, Equatable {
    public enum Keys: Sendable, Equatable {
        /// A JWKS file.
        case file(String)
        /// An https URL of a JWKS.
        case url(String)
        /// For HMAC.
        case secret(String)
    }

    public var name: String
    /// The `iss` of its tokens.
    public var issuer = ""
    /// One of these must be in `aud`; empty: a token is not asked.
    public var audiences: [String] = []
    public var keys = Keys.file("")
    /// Nanoseconds for which keys from a URL are believed after the last fetch that went well.
    public var keysMaxAge: UInt64 = 86_400_000_000_000
    /// The same in the operator's words.
    public var keysMaxAgeText: String { Quantities.show(time: keysMaxAge) }
    /// Names of RFC 7518 section 3.1.
    public var algorithms: [String] = []
    /// A claim's name, or a path to it with dots; nil while a single tenant uses this issuer.
    public var tenantClaim: String?
    /// Claims that give roles and scopes: names, or paths to them with dots; nil: its tokens give none.
    public var roleClaim: String?
    public var scopeClaim: String?
    /// Nanoseconds.
    public var leeway: UInt64 = 30_000_000_000
    /// Claims that are passed on, with the names of their header fields.
    public var claimHeaders: [(claim: String, header: String)] = []
    public var location: Location
    /// Of `keys`.
    public var keysLocation: Location

    init(name: String, location: Location) {
        (self.name, self.location, keysLocation) = (name, location, location)
    }

    public static func == (a: IssuerSettings, b: IssuerSettings) -> Bool {
        a.name == b.name && a.issuer == b.issuer && a.audiences == b.audiences && a.keys == b.keys
            && a.keysMaxAge == b.keysMaxAge && a.algorithms == b.algorithms && a.tenantClaim == b.tenantClaim
            && a.roleClaim == b.roleClaim && a.scopeClaim == b.scopeClaim && a.leeway == b.leeway
            && a.claimHeaders.elementsEqual(b.claimHeaders, by: ==)
    }
}

/// A certificate that a tenant's requests may come with.
public struct ClientCertificateSettings: Sendable, Equatable {
    public enum Wanted: Sendable, Hashable {
        /// Any that an authority of the listener vouches for.
        case any
        case fingerprint(DigestSettings)
        /// The whole distinguished name as RFC 4514 writes it: `CN=client,O=Example`.
        case subject(String, by: CertificateIssuer)
    }

    public var wanted: Wanted
    /// What whoever has it may do.
    public var roles: [String] = []
    public var location: Location

    public static func == (a: ClientCertificateSettings, b: ClientCertificateSettings) -> Bool {
        a.wanted == b.wanted && a.roles == b.roles
    }
}

/// Whose word it takes that a subject is who it says: every authority can issue every subject.
public enum CertificateIssuer: Sendable, Hashable {
    /// The only one that there is.
    case sole
    /// The authority of this name among those of the listeners.
    case named(String)
    /// The authorities of a PEM file.
    case file(String)
}
