import Base
import COpenSSL

/// A key that verifies signatures, bound to the algorithms it may be used with. Immutable; shared by all loops.
public final class VerificationKey: @unchecked Sendable {
    /// An elliptic curve of RFC 7518 section 6.2.1.1, each of which belongs to one algorithm.
    public enum Curve: String, Sendable {
        case p256 = "P-256"
        case p384 = "P-384"
        case p521 = "P-521"

        /// Bytes of a coordinate, and of each half of a signature.
        public var size: Int {
            switch self {
            case .p256: 32
            case .p384: 48
            case .p521: 66
            }
        }

        var algorithm: SignatureAlgorithm {
            switch self {
            case .p256: .es256
            case .p384: .es384
            case .p521: .es512
            }
        }
    }

    /// Why key material is not used.
    public enum Fault: Error, Sendable, CustomStringConvertible {
        case rsaTooShort(bits: Int)
        case rsaTooLong(bits: Int)
        case rsaExponent
        case coordinates
        case size
        case secretTooShort(bytes: Int)
        /// The numbers are no key.
        case invalid(String)

        public var description: String {
            switch self {
            case .rsaTooShort(let bits): "an RSA key of \(bits) bits; 2048 are the least"
            case .rsaTooLong(let bits): "an RSA key of \(bits) bits; 8192 are the most"
            case .rsaExponent: "an RSA exponent that is even, too small or too large"
            case .coordinates: "coordinates of another size than the curve's"
            case .size: "a key of the wrong size"
            case .secretTooShort(let bytes): "a secret of \(bytes) bytes is too short (RFC 7518 section 3.2)"
            case .invalid(let reason): reason
            }
        }
    }

    enum Material: ~Copyable {
        case publicKey(Owned)
        case secret([UInt8])
    }

    let material: Material
    /// Bytes of one half of an ECDSA signature; 0 for other keys.
    let halfSize: Int
    /// The order of the curve's group, big-endian: both halves of a signature are below it.
    let order: [UInt8]
    public let algorithms: SignatureAlgorithms

    private init(_ material: consuming Material, _ algorithms: SignatureAlgorithms, halfSize: Int = 0, order: [UInt8] = []) {
        self.material = material
        (self.algorithms, self.halfSize, self.order) = (algorithms, halfSize, order)
    }

    /// - Parameters:
    ///   - modulus: big-endian, of 2048 to 8192 bits.
    ///   - exponent: big-endian, odd, 3 to 2^32.
    ///   - algorithm: the only one it may be used with; nil allows all RSA signatures.
    public static func rsa(
        modulus: [UInt8], exponent: [UInt8], algorithm: SignatureAlgorithm?
    ) throws(Fault) -> VerificationKey {
        let modulus = Array(modulus.drop { $0 == 0 })
        let exponent = Array(exponent.drop { $0 == 0 })
        let bits = modulus.isEmpty ? 0 : modulus.count * 8 - modulus[0].leadingZeroBitCount
        if bits < 2048 { throw .rsaTooShort(bits: bits) }
        if bits > 8192 { throw .rsaTooLong(bits: bits) }
        guard exponent.count <= 4, let last = exponent.last, last & 1 == 1, exponent.count > 1 || last >= 3 else {
            throw .rsaExponent
        }
        guard modulus.last.map({ $0 & 1 == 1 }) == true else { throw .invalid("an even RSA modulus") }
        let all: [SignatureAlgorithm] = [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512]
        let algorithms = SignatureAlgorithms(algorithm.map { [$0] } ?? all)
        ERR_clear_error()
        guard let key = unsafe Owned(c_rsa_public_key(modulus, modulus.count, exponent, exponent.count), EVP_PKEY_free) else {
            throw .invalid(OpenSSLError("not a valid RSA key").description)
        }
        return VerificationKey(.publicKey(key), algorithms)
    }

    /// A point of a NIST curve. It must lie on the curve.
    public static func ecdsa(_ curve: Curve, x: [UInt8], y: [UInt8]) throws(Fault) -> VerificationKey {
        guard x.count == curve.size, y.count == curve.size else { throw .coordinates }
        let point = [4] + x + y
        ERR_clear_error()
        guard let key = unsafe Owned(c_ec_public_key(curve.rawValue, point, point.count), EVP_PKEY_free) else {
            throw .invalid(OpenSSLError("not a valid EC key").description)
        }
        guard isSound(key) else { throw .invalid(OpenSSLError("a point that is not on the curve").description) }
        return VerificationKey(
            .publicKey(key), SignatureAlgorithms([curve.algorithm]), halfSize: curve.size, order: order(of: curve))
    }

    /// The full check of a public key (SP 800-56A section 5.6.2.3.3 for a point).
    static func isSound(_ key: borrowing Owned) -> Bool {
        guard let context = unsafe Owned(EVP_PKEY_CTX_new_from_pkey(nil, key.pointer, nil), EVP_PKEY_CTX_free) else { return false }
        return unsafe EVP_PKEY_public_check(context.pointer) == 1
    }

    public static func ed25519(_ bytes: [UInt8]) throws(Fault) -> VerificationKey {
        guard bytes.count == 32 else { throw .size }
        ERR_clear_error()
        guard let key = unsafe Owned(EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, bytes, bytes.count), EVP_PKEY_free) else {
            throw .invalid(OpenSSLError("no Ed25519 key").description)
        }
        return VerificationKey(.publicKey(key), SignatureAlgorithms([.edDSA]))
    }

    /// A secret for HMAC, at least as long as the longest digest of `algorithms`, none of which may be another kind.
    public static func hmac(secret: [UInt8], algorithms: [SignatureAlgorithm]) throws(Fault) -> VerificationKey {
        let shortest = algorithms.map(\.digestSize).max() ?? 32
        guard secret.count >= shortest else { throw .secretTooShort(bytes: secret.count) }
        return VerificationKey(.secret(secret), SignatureAlgorithms(algorithms.filter { $0.family == .hmac }))
    }

    private static func order(of curve: Curve) -> [UInt8] {
        func hex(_ text: String) -> [UInt8] {
            let digits = text.utf8.compactMap(ASCII.hexValue)
            return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        }
        // SEC 2 version 2, sections 2.4.2, 2.5.1 and 2.6.1.
        switch curve {
        case .p256: return hex("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551")
        case .p384:
            return hex(
                "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973")
        case .p521:
            return hex(
                "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709"
                    + "A5D03BB5C9B8899C47AEBB6FB71E91386409")
        }
    }
}
