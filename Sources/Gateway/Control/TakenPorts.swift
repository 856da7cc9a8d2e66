import Base
import Configuration
import Glibc
import Net
import Proxy

/// Whether the addresses that a configuration listens on can be had. Those of the gateway that runs with the same state are
/// its own: a reload keeps them, and a start comes after its end.
enum TakenPorts {
    /// A socket of this machine that listens.
    private struct Listening {
        var address: SocketAddress
        var inode: Substring
    }

    static func faults(in settings: Settings) -> [Diagnostic] {
        let listening = allListening()
        var own: Set<Substring> = []
        if let running = RunningGateway.find(state: settings.cold.state) {
            // Somebody else's, into which we can't look: whatever listens may be it.
            guard let inodes = inodes(of: running.pid) else { return [] }
            own = inodes
        }
        var wanted = settings.hot.listeners.map { ($0.endpoint, $0.location) }
        if let admin = settings.hot.admin, let place = settings.places.admin { wanted.append((admin, place)) }
        return wanted.compactMap { endpoint, location in
            guard let address = endpoint.address else { return nil }
            let others = listening.filter { overlap($0.address, address) }
            if others.contains(where: { own.contains($0.inode) }) { return nil }
            let fault: String
            if let other = others.first {
                fault = "\(endpoint.label) is in use: another process listens on \(Self.label(other.address))"
            } else {
                do throws(SystemError) {
                    close(try Socket.listen(address, sharesPort: false))
                    return nil
                } catch { fault = "can't listen on \(endpoint.label): \(error)" }
            }
            return Diagnostic(.error, at: location, length: endpoint.label.utf8.count, fault)
        }
    }

    /// One of them is every address, or both are the same.
    private static func overlap(_ one: SocketAddress, _ two: SocketAddress) -> Bool {
        func isAny(_ address: SocketAddress) -> Bool {
            address.high == 0 && (address.low == 0 || address.low == 0xFFFF << 32)
        }
        if one.port != two.port { return false }
        if one.high == two.high, one.low == two.low { return true }
        // Every IPv4 address has nothing to do with one of IPv6.
        if one.low == 0xFFFF << 32, one.high == 0 { return two.isIPv4 || isAny(two) }
        if two.low == 0xFFFF << 32, two.high == 0 { return one.isIPv4 || isAny(one) }
        return isAny(one) || isAny(two)
    }

    private static func label(_ address: SocketAddress) -> String {
        address.high == 0 && (address.low == 0 || address.low == 0xFFFF << 32)
            ? "*:\(address.port)" : address.description
    }

    /// By /proc/net/tcp and tcp6 (proc(5)): words of the address in the machine's byte order, in hexadecimal.
    private static func allListening() -> [Listening] {
        var found: [Listening] = []
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
                switch values.count {
                case 1:
                    found.append(
                        Listening(
                            address: SocketAddress(high: 0, low: 0xFFFF << 32 | values[0], port: port), inode: fields[9]
                        ))
                case 4:
                    let address = SocketAddress(
                        high: values[0] << 32 | values[1], low: values[2] << 32 | values[3], port: port)
                    found.append(Listening(address: address, inode: fields[9]))
                default: break
                }
            }
        }
        return found
    }

    /// Of the sockets that a process has open; nil where it may not be looked into.
    private static func inodes(of pid: Int32) -> Set<Substring>? {
        guard let folder = opendir("/proc/\(pid)/fd") else { return nil }
        defer { closedir(folder) }
        var found: Set<Substring> = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            var room = [CChar](repeating: 0, count: 64)
            guard readlink("/proc/\(pid)/fd/\(name)", &room, room.count - 1) > 0 else { continue }
            let link = String(decoding: room.lazy.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if link.hasPrefix("socket:["), link.hasSuffix("]") { found.insert(link.dropFirst(8).dropLast()) }
        }
        return found
    }
}
