import Base

/// A JSON object in one line whose last member is the checksum of what stands before it:
/// `{"id":"7-1","n":5,"crc":"0f9c2a41"}`. It stays JSON for whoever does not check.
public enum CheckedLine {
    /// `,"crc":"xxxxxxxx"}`
    static let sealSize = 18
    private static let prefix: StaticString = ",\"crc\":\""

    /// Appends the object that `write` writes, in at most `room` bytes: without its closing brace, with at least one
    /// member.
    public static func append(to lines: inout [UInt8], room: Int, _ write: (inout ByteWriter) -> Void) {
        lines.append(addingCapacity: room + sealSize + 1) { span in
            span.withUnsafeMutableBufferPointer { bytes, count in
                var line = ByteWriter(UnsafeMutableRawBufferPointer(bytes))
                write(&line)
                let crc = CRC32.checksum(line.written)
                line.append(prefix)
                line.append(hex: UInt64(crc), width: 8)
                line.append("\"}\n")
                precondition(!line.overflowed, "a longer line than there can be")
                count = line.count
            }
        }
    }

    /// Whether a line, without its line end, is whole and as it was written.
    public static func isValid(_ line: UnsafeRawBufferPointer) -> Bool {
        let body = line.count - sealSize
        guard body > 1, line[0] == 0x7B, line[line.count - 1] == 0x7D, line[line.count - 2] == 0x22 else {
            return false
        }
        for place in 0..<8 where line[body + place] != prefix.utf8Start[place] { return false }
        var crc: UInt32 = 0
        for place in body + 8..<body + 16 {
            let byte = line[place]
            // One spelling only: what is not written in it was changed.
            guard let digit = ASCII.hexValue(byte), ASCII.lowercase(byte) == byte else { return false }
            crc = crc << 4 | UInt32(digit)
        }
        return CRC32.checksum(UnsafeRawBufferPointer(rebasing: line[..<body])) == crc
    }
}
