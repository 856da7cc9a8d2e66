import Base
import Configuration
import Glibc
import Net

/// The sockets of this machine that listen, and whose they are, by proc(5).
enum ListeningSockets {
    struct Found {
        var address: SocketAddress
        var inode: Substring
    }

    struct Holder {
        var pid: Int32
        /// What its program is called, 15 bytes of it.
        var name: String
    }

    /// By /proc/net/tcp and tcp6: words of the address in the machine's byte order, in hexadecimal.
    static func all() -> [Found] {
        var found: [Found] = []
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in ConfigurationSource.disk.text(table).split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ")
                guard fields.count > 9, fields[3] == "0A", let colon = fields[1].firstIndex(of: ":"),
                    let port = UInt16(fields[1][colon...].dropFirst(), radix: 16)
                else { continue }
                let words = Array(fields[1][..<colon].utf8)
                let values = stride(from: 0, to: words.count - 7, by: 8).compactMap { at in
                    UInt32(String(decoding: words[at..<at + 8], as: UTF8.self), radix: 16).map {
                        UInt64(UInt32(bigEndian: $0))
                    }
                }
                let halves: (UInt64, UInt64)
                switch values.count {
                case 1: halves = (0, 0xFFFF << 32 | values[0])
                case 4: halves = (values[0] << 32 | values[1], values[2] << 32 | values[3])
                default: continue
                }
                found.append(Found(address: SocketAddress(high: halves.0, low: halves.1, port: port), inode: fields[9]))
            }
        }
        return found
    }

    /// The first process found that has one of them; nil where none is, or where it may not be looked into.
    static func holder(of inodes: Set<Substring>) -> Holder? {
        guard let folder = opendir("/proc") else { return nil }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            guard let pid = Int32(name(of: entry)), let has = Self.inodes(of: pid), !has.isDisjoint(with: inodes) else {
                continue
            }
            return Holder(pid: pid, name: programName(of: String(pid)))
        }
        return nil
    }

    /// - Parameter process: a process id, or `self`.
    static func programName(of process: String) -> String {
        String(ConfigurationSource.disk.text("/proc/\(process)/comm").prefix { $0 != "\n" })
    }

    /// Of the sockets that a process has open; nil where it may not be looked into.
    static func inodes(of pid: Int32) -> Set<Substring>? {
        guard let folder = opendir("/proc/\(pid)/fd") else { return nil }
        defer { closedir(folder) }
        var found: Set<Substring> = []
        while let entry = readdir(folder) {
            var room = [CChar](repeating: 0, count: 64)
            guard readlink("/proc/\(pid)/fd/\(name(of: entry))", &room, room.count - 1) > 0 else { continue }
            let link = String(decoding: room.lazy.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if link.hasPrefix("socket:["), link.hasSuffix("]") { found.insert(link.dropFirst(8).dropLast()) }
        }
        return found
    }

    private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
        withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
