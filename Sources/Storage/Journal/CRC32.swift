/// The checksum of Ethernet, gzip and PNG (ISO 3309, reflected polynomial 0xEDB88320), eight bytes at a time.
public enum CRC32 {
    /// Eight tables of 256: what a byte does that is followed by 0 to 7 others.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
            tables[byte] = value
        }
        for place in 256..<8 * 256 {
            let before = tables[place - 256]
            tables[place] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    /// - Parameter before: the checksum of what comes before these bytes.
    public static func checksum(_ bytes: UnsafeRawBufferPointer, after before: UInt32 = 0) -> UInt32 {
        // Each index is a byte in one of the eight tables; a word is read where eight bytes are left.
        unsafe tables.withUnsafeBufferPointer { tables in
            var crc = ~before
            var at = 0
            while bytes.count - at >= 8 {
                let word = unsafe UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) ^ UInt64(crc)
                crc = 0
                for place in 0..<8 {
                    unsafe crc ^= tables[(7 - place) << 8 | Int(truncatingIfNeeded: word >> UInt64(8 * place) & 0xFF)]
                }
                at += 8
            }
            while at < bytes.count {
                crc = unsafe crc >> 8 ^ tables[Int(truncatingIfNeeded: (crc ^ UInt32(bytes[at])) & 0xFF)]
                at += 1
            }
            return ~crc
        }
    }
}
