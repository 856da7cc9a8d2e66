import Base

/// A JSON object in one line whose last member is the checksum of what stands before it:
/// `{"id":"7-1","n":5,"crc":"0f9c2a41"}`. It stays JSON for whoever does not check.
public enum CheckedLine {
    /// `,"crc":"xxxxxxxx"}`
    static let sealSize = 18
    private static let prefix: StaticString = ",\"crc\":\""

    /// Ends the object that was begun at `start` of `lines`: without its closing brace, with at least one member.
    public static func seal(_ lines: inout [UInt8], from start: Int) {
        let crc = lines.withUnsafeBytes { CRC32.checksum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        lines.append(contentsOf: UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
        for place in (0..<8).reversed() {
            let digit = UInt8(truncatingIfNeeded: crc >> UInt32(4 * place)) & 15
            lines.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
        lines.append(0x22)
        lines.append(0x7D)
        lines.append(ASCII.lf)
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
