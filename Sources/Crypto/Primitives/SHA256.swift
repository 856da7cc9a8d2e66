import COpenSSL

/// SHA-256 (FIPS 180-4) in one step.
public enum SHA256 {
    public static func digest(_ bytes: UnsafeRawBufferPointer) -> Digest256 {
        var digest = Digest256()
        // The four words are the 32 bytes that a digest has.
        unsafe withUnsafeMutableBytes(of: &digest.words) { out in
            unsafe c_sha256(bytes.baseAddress, bytes.count, out.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        return digest
    }

    public static func digest(_ bytes: [UInt8]) -> Digest256 { unsafe bytes.withUnsafeBytes { unsafe digest($0) } }
}
