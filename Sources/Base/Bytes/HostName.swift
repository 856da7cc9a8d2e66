/// Names of hosts as they are compared everywhere: without regard to case, and to one dot at the end (RFC 4343, RFC 1034
/// section 3.1).
public enum HostName {
    /// Without one dot at the end.
    @inlinable
    public static func withoutDot(_ name: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard name.count > 1, unsafe name[name.count - 1] == 0x2E else { return unsafe name }
        return unsafe UnsafeRawBufferPointer(start: name.baseAddress, count: name.count - 1)
    }

    /// In lower case and without one dot at the end.
    public static func normal(_ name: String) -> String {
        let lowered = name.asciiLowercased
        return lowered.utf8.count > 1 && lowered.utf8.last == 0x2E ? String(lowered.dropLast()) : lowered
    }

    /// Writes the same of `name` to the front of `room`, which is no smaller, and returns that.
    @inlinable @inline(__always)
    public static func normal(_ name: UnsafeRawBufferPointer, in room: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
        let name = unsafe withoutDot(name)
        precondition(name.count <= room.count)
        for i in 0..<name.count { unsafe room[i] = unsafe ASCII.lowercase(name[i]) }
        return unsafe UnsafeRawBufferPointer(rebasing: room[..<name.count])
    }

    /// Whether two names are those of one host.
    public static func same(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        let (a, b) = unsafe (withoutDot(a), withoutDot(b))
        guard a.count == b.count else { return false }
        for i in 0..<a.count where unsafe ASCII.lowercase(a[i]) != ASCII.lowercase(b[i]) { return false }
        return true
    }
}
