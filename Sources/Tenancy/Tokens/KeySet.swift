import Base
import Crypto

/// The public keys of an issuer, from a JWK set (RFC 7517). Immutable; shared by all loops.
public final class KeySet: Sendable {
    public enum Fault: Error, Sendable, Equatable, CustomStringConvertible {
        case tooLarge
        case notJSON
        case notKeySet

        public var description: String {
            switch self {
            case .tooLarge: "the key set is too large"
            case .notJSON: "the key set is not valid JSON, or has a name twice"
            case .notKeySet: "the file is not a key set: an object with an array `keys`"
            }
        }
    }

    struct Key: Sendable {
        var id: [UInt8]?
        var key: VerificationKey
    }

    /// Bytes of a key set. Those of the large providers have some ten thousand.
    public static let sizeMax = 1 << 20
    static let keysMax = 256
    /// Keys that are tried on one token where no `kid` decides, over all issuers of its name. With the slowest algorithm each
    /// takes a millisecond of the loop, which other tenants wait for.
    static let triesMax = 16

    let keys: [Key]
    /// A secret has no name: whatever `kid` a token has, this is the key.
    private let isSecret: Bool
    /// Whether any key has a `kid`.
    private let hasNames: Bool
    /// Why keys of the set are not used, for the operator.
    public let skipped: [String]
    /// Of its text: tells whether a set has changed.
    public let digest: Digest256
    public var count: Int { keys.count }

    /// A set without a key that can be used is a set all the same: an issuer may have taken its only one back.
    /// - Parameter algorithms: those that the issuer may use; a key that fits none of them is left out.
    public init(json: [UInt8], algorithms: [SignatureAlgorithm]) throws(Fault) {
        guard json.count <= Self.sizeMax else { throw .tooLarge }
        let value: JSONValue
        do { value = try JSONValue(json: json) } catch { throw error == .tooLarge ? .tooLarge : .notJSON }
        guard let list = value.object?["keys"]?.array else { throw .notKeySet }
        guard list.count <= Self.keysMax else { throw .tooLarge }
        var keys: [Key] = []
        var skipped: [String] = []
        for (position, entry) in list.enumerated() {
            do throws(Reason) {
                if let key = try Self.key(entry, algorithms) { keys.append(key) }
            } catch {
                skipped.append("key \(position + 1): \(error.text)")
            }
        }
        let hasNames = keys.contains { $0.id != nil }
        let alike = Dictionary(grouping: keys) { hasNames ? $0.id : nil }.values.map(\.count).max() ?? 0
        if alike > Self.triesMax {
            skipped.append("no `kid` tells \(alike) of its keys apart, and a token is tried with \(Self.triesMax)")
        }
        (self.keys, self.skipped, self.hasNames) = (keys, skipped, hasNames)
        digest = SHA256.digest(json)
        isSecret = false
    }

    /// One secret, for HMAC.
    public init(secret: [UInt8], algorithms: [SignatureAlgorithm]) throws(VerificationKey.Fault) {
        keys = [Key(id: nil, key: try VerificationKey.hmac(secret: secret, algorithms: algorithms))]
        skipped = []
        digest = SHA256.digest(secret)
        (isSecret, hasNames) = (true, false)
    }

    private init() { (keys, skipped, digest, isSecret, hasNames) = ([], [], Digest256(), false, false) }

    /// Why no token can be verified with it; nil where it has a key.
    public var lack: String? {
        guard keys.isEmpty else { return nil }
        return "the key set has no key that can be used (\(skipped.first ?? "none is for the algorithms that are allowed"))"
    }

    /// Stands for a set that was not fetched yet, or is too old to be believed.
    public static let empty = KeySet()

    /// The keys that may have signed a token with this `kid` by this algorithm. In a set without any `kid` a token's own
    /// decides nothing.
    func candidates(id: [UInt8]?, _ algorithm: SignatureAlgorithm) -> [Key] {
        keys.filter { key in key.key.algorithms.contains(algorithm) && (id == nil || !hasNames || key.id == id) }
    }

    /// Whether the set has a key of that name, for whatever algorithm.
    func has(id: [UInt8]) -> Bool { isSecret || keys.contains { $0.id == id } }

    private struct Reason: Error { var text: String }

    /// Nil for a key that is for something else: unknown types are ignored (RFC 7517 section 5).
    private static func key(_ entry: JSONValue, _ allowed: [SignatureAlgorithm]) throws(Reason) -> Key? {
        guard let jwk = entry.object else { throw Reason(text: "not an object") }
        guard let type = jwk["kty"]?.text else { throw Reason(text: "no `kty`") }
        if let use = jwk["use"], !use.isText("sig") { return nil }
        if let operations = jwk["key_ops"]?.array, !operations.contains(where: { $0.isText("verify") }) { return nil }
        var id: [UInt8]?
        if let kid = jwk["kid"] {
            guard let text = kid.text, text.count <= 1024 else { throw Reason(text: "a `kid` that is not text") }
            id = text
        }
        var bound: SignatureAlgorithm?
        if let algorithm = jwk["alg"] {
            // Keys for encryption say so here, too.
            guard let name = algorithm.text, let known = SignatureAlgorithm(name: name) else { return nil }
            bound = known
        }
        let key: VerificationKey?
        do throws(VerificationKey.Fault) { key = try make(type, jwk, bound) } catch { throw Reason(text: error.description) }
        guard let key else { return nil }
        if let bound, !key.algorithms.contains(bound) { throw Reason(text: "its `alg` does not fit its `kty`") }
        guard allowed.contains(where: key.algorithms.contains) else { return nil }
        return Key(id: id, key: key)
    }

    private static func make(
        _ type: [UInt8], _ jwk: JSONObject, _ bound: SignatureAlgorithm?
    ) throws(VerificationKey.Fault) -> VerificationKey? {
        func bytes(_ name: StaticString) throws(VerificationKey.Fault) -> [UInt8] {
            guard let text = jwk[name]?.text, let bytes = Base64URL.decode(text) else {
                throw .invalid("`\(name)` is missing or not base64url")
            }
            return bytes
        }
        if type.spells("RSA") {
            if let bound, bound.family != .rsa, bound.family != .rsaPSS { throw .invalid("its `alg` does not fit its `kty`") }
            return try .rsa(modulus: bytes("n"), exponent: bytes("e"), algorithm: bound)
        }
        if type.spells("EC") {
            guard let name = jwk["crv"]?.text,
                let curve = VerificationKey.Curve(rawValue: String(decoding: name, as: UTF8.self))
            else { return nil }
            return try .ecdsa(curve, x: bytes("x"), y: bytes("y"))
        }
        if type.spells("OKP") {
            guard jwk["crv"]?.isText("Ed25519") == true else { return nil }
            return try .ed25519(bytes("x"))
        }
        return nil
    }
}
