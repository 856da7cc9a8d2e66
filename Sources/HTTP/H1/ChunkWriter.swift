import Base

/// Writes the chunked coding (RFC 9112 section 7.1) around data where that stands: nothing of it is moved.
///
///     front                data                behind
///     │ size CRLF │ ...................... │ CRLF  [ 0 CRLF trailers CRLF ] │
public enum ChunkWriter {
    /// Bytes that must be free in front of the data: the digits of a size, and a line end.
    public static let front = 18

    /// Bytes that must be free behind the data.
    public static func behind(trailers: Int) -> Int { 7 + trailers }

    // Nothing is written but `front` bytes in front of the data and `behind` bytes behind it, which the caller has free.

    /// `data` as one chunk. Without data nothing, or the last chunk alone, in its place.
    /// - Parameters:
    ///   - data: has an address even when it is empty.
    ///   - trailers: field lines, each with its CRLF; they follow the last chunk.
    public static func wrap(
        _ data: UnsafeMutableRawBufferPointer, isLast: Bool, trailers: [UInt8] = []
    ) -> UnsafeRawBufferPointer {
        var start = data.baseAddress!
        var end = unsafe start + data.count
        func put(_ text: StaticString) {
            unsafe end.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
            unsafe end += text.utf8CodeUnitCount
        }
        if unsafe !data.isEmpty {
            put("\r\n")
            unsafe start = putSize(data.count, before: start)
        }
        if isLast {
            put("0\r\n")
            unsafe trailers.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { unsafe end.copyMemory(from: base, byteCount: bytes.count) }
                unsafe end += bytes.count
            }
            put("\r\n")
        }
        return unsafe UnsafeRawBufferPointer(start: start, count: end - start)
    }

    private static func putSize(_ count: Int, before data: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        var at = unsafe data - 2
        unsafe at.storeBytes(of: ASCII.cr, as: UInt8.self)
        unsafe at.storeBytes(of: ASCII.lf, toByteOffset: 1, as: UInt8.self)
        var size = count
        repeat {
            unsafe at -= 1
            let nibble = UInt8(size & 15)
            unsafe at.storeBytes(of: nibble < 10 ? 0x30 + nibble : 0x57 + nibble, as: UInt8.self)
            size >>= 4
        } while size > 0
        return unsafe at
    }
}
