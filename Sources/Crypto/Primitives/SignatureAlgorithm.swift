/// The signature algorithms of RFC 7518 section 3.1 and RFC 8037 section 3.1. `none` is not among them.
public enum SignatureAlgorithm: UInt8, Sendable, CaseIterable {
    case rs256, rs384, rs512, ps256, ps384, ps512, es256, es384, es512, edDSA, hs256, hs384, hs512

    public enum Family: Sendable { case rsa, rsaPSS, ecdsa, edDSA, hmac }

    /// As the `alg` of a token says it: case matters.
    public var name: StaticString {
        switch self {
        case .rs256: "RS256"
        case .rs384: "RS384"
        case .rs512: "RS512"
        case .ps256: "PS256"
        case .ps384: "PS384"
        case .ps512: "PS512"
        case .es256: "ES256"
        case .es384: "ES384"
        case .es512: "ES512"
        case .edDSA: "EdDSA"
        case .hs256: "HS256"
        case .hs384: "HS384"
        case .hs512: "HS512"
        }
    }

    /// The algorithm of exactly that name, or of the fully specified name that has taken the place of `EdDSA` (RFC 9864); nil
    /// where there is none.
    public init?(name: [UInt8]) {
        if name == Array("Ed25519".utf8) {
            self = .edDSA
            return
        }
        let found = Self.allCases.first { algorithm in
            // Static text.
            algorithm.name.withUTF8Buffer { unsafe name.elementsEqual($0) }
        }
        guard let found else { return nil }
        self = found
    }

    public init?(_ name: String) { self.init(name: Array(name.utf8)) }

    public var family: Family {
        switch self {
        case .rs256, .rs384, .rs512: .rsa
        case .ps256, .ps384, .ps512: .rsaPSS
        case .es256, .es384, .es512: .ecdsa
        case .edDSA: .edDSA
        case .hs256, .hs384, .hs512: .hmac
        }
    }

    /// OpenSSL's name of the digest; nil where the algorithm has its own.
    var digest: String? {
        switch self {
        case .rs256, .ps256, .es256, .hs256: "SHA256"
        case .rs384, .ps384, .es384, .hs384: "SHA384"
        case .rs512, .ps512, .es512, .hs512: "SHA512"
        case .edDSA: nil
        }
    }

    /// Bytes of the digest, and so of the shortest good HMAC key (RFC 7518 section 3.2) and of the PSS salt (section 3.5).
    public var digestSize: Int {
        switch self {
        case .rs256, .ps256, .es256, .hs256: 32
        case .rs384, .ps384, .es384, .hs384: 48
        case .rs512, .ps512, .es512, .hs512, .edDSA: 64
        }
    }
}

/// A set of algorithms, one bit each.
public struct SignatureAlgorithms: Sendable, Equatable {
    private var bits: UInt16 = 0

    public init(_ algorithms: some Sequence<SignatureAlgorithm> = EmptyCollection()) {
        for algorithm in algorithms { bits |= 1 << UInt16(algorithm.rawValue) }
    }

    public func contains(_ algorithm: SignatureAlgorithm) -> Bool { bits & 1 << UInt16(algorithm.rawValue) != 0 }
    public var isEmpty: Bool { bits == 0 }
}
