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
            unsafe span.withUnsafeMutableBufferPointer { bytes, count in
                var line = unsafe ByteWriter(UnsafeMutableRawBufferPointer(bytes))
                write(&line)
                let crc = unsafe CRC32.checksum(line.written)
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
        guard body > 1, unsafe line[0] == 0x7B, unsafe line[line.count - 1] == 0x7D, unsafe line[line.count - 2] == 0x22 else {
            return false
        }
        for place in 0..<8 where unsafe line[body + place] != prefix.utf8Start[place] { return false }
        var crc: UInt32 = 0
        for place in body + 8..<body + 16 {
            let byte = unsafe line[place]
            // One spelling only: what is not written in it was changed.
            guard let digit = ASCII.hexValue(byte), ASCII.lowercase(byte) == byte else { return false }
            crc = crc << 4 | UInt32(digit)
        }
        return unsafe CRC32.checksum(UnsafeRawBufferPointer(rebasing: line[..<body])) == crc
    }
}
