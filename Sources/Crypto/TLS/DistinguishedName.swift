import COpenSSL

/// Names of certificates as RFC 4514 writes them: `CN=client,O=Example`.
enum DistinguishedName {
    /// Bytes, for Swift's strings take names for equal that are spelt differently. Nil when there is no memory.
    static func text(_ name: OpaquePointer?) -> [UInt8]? {
        guard let text = unsafe Owned(BIO_new(BIO_s_mem()), BIO_free_all),
            unsafe X509_NAME_print_ex(text.pointer, name, 0, COPENSSL_XN_FLAG_RFC2253) >= 0
        else { return nil }
        // The bytes are the buffer's, which is there until the end.
        var start: UnsafeMutablePointer<CChar>?
        let length = unsafe Int(c_bio_get_mem_data(text.pointer, &start))
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: length))
    }
}
