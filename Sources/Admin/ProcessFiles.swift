#if canImport(Glibc)
    import Glibc
#endif

/// Reads about this process from `/proc`.
public enum ProcessFiles {
    /// The longest file worth reading; `/proc/stat` has a line for each processor and a number for each interrupt.
    private static let sizeMax = 1 << 20

    /// The whole file; nil where it cannot be read or is longer than a megabyte.
    public static func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count <= sizeMax {
            let count = Glibc.read(file, &room, room.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            bytes.append(contentsOf: room[..<count])
        }
        return nil
    }

    /// How many descriptors are open, without the one that the question takes.
    public static func openDescriptors() -> Int? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) {
            // `.` and `..` start with a point, descriptors with a digit.
            if entry.pointee.d_name.0 != 0x2E { count += 1 }
        }
        return max(0, count - 1)
    }

    /// The unit of the times in `/proc/self/stat`.
    public static var ticksPerSecond: UInt64 { UInt64(max(1, sysconf(Int32(_SC_CLK_TCK)))) }

    /// Bytes.
    public static var pageSize: UInt64 { UInt64(max(1, sysconf(Int32(_SC_PAGESIZE)))) }
}
