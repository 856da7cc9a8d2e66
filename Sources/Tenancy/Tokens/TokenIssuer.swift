import Base
import Configuration
import Crypto

/// An issuer of tokens as the request path sees it. Immutable but for its keys.
public final class TokenIssuer: Sendable {
    /// A claim that becomes a header field.
    struct ClaimHeader: Sendable {
        var claim: ClaimPath
        /// `Name: `
        var start: [UInt8]
    }

    public let name: String
    let issuer: [UInt8]
    let audiences: [[UInt8]]
    let algorithms: SignatureAlgorithms
    let tenantClaim: ClaimPath?
    let roleClaim: ClaimPath?
    let scopeClaim: ClaimPath?
    /// Seconds.
    let leeway: Int64
    let claimHeaders: [ClaimHeader]
    /// Names of the fields that carry claims.
    let claimFields: [String]
    public let keys: KeySource

    public init(_ settings: IssuerSettings, keys: KeySource) {
        name = settings.name
        issuer = Array(settings.issuer.utf8)
        audiences = settings.audiences.map { Array($0.utf8) }
        algorithms = SignatureAlgorithms(settings.signatureAlgorithms)
        tenantClaim = settings.tenantClaim.map(ClaimPath.init)
        (roleClaim, scopeClaim) = (settings.roleClaim.map(ClaimPath.init), settings.scopeClaim.map(ClaimPath.init))
        leeway = Int64(settings.leeway / 1_000_000_000)
        claimHeaders = settings.claimHeaders.map {
            ClaimHeader(claim: ClaimPath($0.claim), start: Array("\($0.header): ".utf8))
        }
        claimFields = settings.claimHeaders.map(\.header)
        self.keys = keys
    }
}

extension IssuerSettings {
    public var signatureAlgorithms: [SignatureAlgorithm] { algorithms.compactMap { SignatureAlgorithm($0) } }
}

/// A claim by its name, or by a path of names with dots between them. A claim whose own name has dots comes first.
struct ClaimPath: Sendable {
    private let whole: [UInt8]
    private let steps: [[UInt8]]

    init(_ text: String) {
        whole = Array(text.utf8)
        steps = whole.split(separator: 0x2E, omittingEmptySubsequences: false).map(Array.init)
    }

    func find(in claims: JSONObject) -> JSONValue? {
        if let value = claims[whole] { return value }
        guard steps.count > 1 else { return nil }
        var object = claims
        for step in steps.dropLast() {
            guard let next = object[step]?.object else { return nil }
            object = next
        }
        return object[steps[steps.count - 1]]
    }
}
