import COpenSSL

/// SHA-256 in one step. One a loop: the algorithm is looked up once, and its state is kept from digest to digest.
public final class SHA256 {
    private let algorithm: OpaquePointer
    private let context: OpaquePointer

    public init() {
        guard let algorithm = EVP_MD_fetch(nil, "SHA256", nil), let context = EVP_MD_CTX_new() else {
            preconditionFailure("OpenSSL has no SHA-256")
        }
        (self.algorithm, self.context) = (algorithm, context)
    }

    deinit {
        EVP_MD_CTX_free(context)
        EVP_MD_free(algorithm)
    }

    public func digest(_ bytes: UnsafeRawBufferPointer) -> Digest256 {
        var digest = Digest256()
        let done = withUnsafeMutableBytes(of: &digest.words) { out in
            EVP_DigestInit_ex2(context, algorithm, nil) == 1
                && EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1
                && EVP_DigestFinal_ex(context, out.baseAddress?.assumingMemoryBound(to: UInt8.self), nil) == 1
        }
        precondition(done, "SHA-256 failed")
        return digest
    }

    public func digest(_ bytes: [UInt8]) -> Digest256 { bytes.withUnsafeBytes { digest($0) } }
}
