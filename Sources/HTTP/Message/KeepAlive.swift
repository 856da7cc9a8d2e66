import Base

/// What servers say of how long they keep an unused connection: `Keep-Alive: timeout=5, max=100` (RFC 2068 section 19.7.1.1;
/// later ones left it out, and servers did not).
public enum KeepAlive {
    /// Seconds of the first `timeout` that the field's value has; nil where there is none that can be read.
    public static func timeout(_ value: UnsafeRawBufferPointer) -> UInt64? {
        for unsafe part in unsafe value.split(separator: 0x2C) {
            let name: StaticString = "timeout="
            let part = unsafe UnsafeRawBufferPointer(rebasing: part).trimmed
            guard part.count > name.utf8CodeUnitCount,
                unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: part[..<name.utf8CodeUnitCount]), name)
            else { continue }
            let digits = unsafe part[name.utf8CodeUnitCount...]
            guard unsafe digits.count <= 9, unsafe digits.allSatisfy(ASCII.isDigit) else { return nil }
            return unsafe digits.reduce(0) { $0 * 10 + UInt64($1 - 0x30) }
        }
        return nil
    }
}
