import COpenSSL

/// Verifies signatures. One a loop: its state is kept from one signature to the next.
public final class SignatureVerifier {
    private let context: Owned
    /// An ECDSA signature as DER: two integers of at most 67 bytes with their heads, and the sequence's head.
    private static let derMax = 144

    public init() {
        guard let context = unsafe Owned(EVP_MD_CTX_new(), EVP_MD_CTX_free) else { preconditionFailure("no memory") }
        self.context = context
    }

    /// Whether `signature`, in the form of RFC 7518 section 3, is one of `message` by `key`. False too where the key may
    /// not be used with that algorithm.
    public func verify(
        _ signature: [UInt8], of message: UnsafeRawBufferPointer, by key: VerificationKey, _ algorithm: SignatureAlgorithm
    ) -> Bool {
        guard key.algorithms.contains(algorithm) else { return false }
        switch key.material {
        case .secret(let secret): return unsafe algorithm.family == .hmac && verifyHMAC(signature, message, secret, algorithm)
        case .publicKey(let handle):
            switch algorithm.family {
            case .ecdsa:
                guard let der = Self.der(signature, key) else { return false }
                return unsafe verify(der, message, handle, algorithm)
            case .rsa, .rsaPSS:
                // RFC 8017 section 8.1.2. OpenSSL would let a leading zero be left out, and the token had two spellings.
                guard unsafe signature.count == Int(EVP_PKEY_get_size(handle.pointer)) else { return false }
                return unsafe verify(signature, message, handle, algorithm)
            case .edDSA: return unsafe verify(signature, message, handle, algorithm)
            case .hmac: return false
            }
        }
    }

    private func verifyHMAC(
        _ signature: [UInt8], _ message: UnsafeRawBufferPointer, _ secret: [UInt8], _ algorithm: SignatureAlgorithm
    ) -> Bool {
        guard signature.count == algorithm.digestSize, let name = algorithm.digest,
            let digest = unsafe EVP_get_digestbyname(name)
        else { return false }
        let bytes = unsafe message.baseAddress?.assumingMemoryBound(to: UInt8.self)
        // The longest digest that OpenSSL has.
        return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(EVP_MAX_MD_SIZE)) { made in
            var count: UInt32 = 0
            guard unsafe HMAC(digest, secret, Int32(secret.count), bytes, message.count, made.baseAddress, &count) != nil,
                Int(count) == signature.count
            else { return false }
            return unsafe CRYPTO_memcmp(made.baseAddress, signature, signature.count) == 0
        }
    }

    private func verify(
        _ signature: [UInt8], _ message: UnsafeRawBufferPointer, _ key: borrowing Owned, _ algorithm: SignatureAlgorithm
    ) -> Bool {
        ERR_clear_error()
        defer {
            unsafe EVP_MD_CTX_reset(context.pointer)
            ERR_clear_error()
        }
        // Belongs to the context.
        var keyContext: OpaquePointer?
        guard unsafe EVP_DigestVerifyInit_ex(context.pointer, &keyContext, algorithm.digest, nil, nil, key.pointer, nil) == 1
        else { return false }
        if algorithm.family == .rsaPSS {
            guard unsafe EVP_PKEY_CTX_set_rsa_padding(keyContext, RSA_PKCS1_PSS_PADDING) == 1,
                unsafe EVP_PKEY_CTX_set_rsa_pss_saltlen(keyContext, Int32(algorithm.digestSize)) == 1
            else { return false }
        }
        let bytes = unsafe message.baseAddress?.assumingMemoryBound(to: UInt8.self)
        return unsafe EVP_DigestVerify(context.pointer, signature, signature.count, bytes, message.count) == 1
    }

    /// `r || s` of RFC 7518 section 3.4 as DER. Nil unless both have the curve's size and lie in 1 ..< n: a verifier that
    /// forgets this takes a signature of zeros for anybody's (CVE-2022-21449).
    private static func der(_ signature: [UInt8], _ key: VerificationKey) -> [UInt8]? {
        let size = key.halfSize
        guard size > 0, signature.count == 2 * size else { return nil }
        let halves = [Array(signature[..<size]), Array(signature[size...])]
        var body: [UInt8] = []
        body.reserveCapacity(derMax)
        for half in halves {
            guard half.contains(where: { $0 != 0 }), half.lexicographicallyPrecedes(key.order) else { return nil }
            var digits = half.drop { $0 == 0 }
            if digits[digits.startIndex] & 0x80 != 0 { digits = [0] + digits }
            body += [0x02, UInt8(digits.count)] + digits
        }
        return (body.count < 0x80 ? [0x30, UInt8(body.count)] : [0x30, 0x81, UInt8(body.count)]) + body
    }
}
