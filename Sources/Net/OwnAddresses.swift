import Base
import Glibc

/// By which addresses and name this machine reaches itself.
public enum OwnAddresses {
    /// Those of its interfaces, with that port.
    public static func all(port: UInt16) -> [SocketAddress] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&first) == 0 else { return [] }
        // The list is the library's until it is given back.
        defer { unsafe freeifaddrs(first) }
        var found: [SocketAddress] = []
        var next = unsafe first
        while let entry = unsafe next {
            if let address = unsafe entry.pointee.ifa_addr, var own = unsafe SocketAddress(UnsafePointer(address)) {
                own.port = port
                found.append(own)
            }
            unsafe next = entry.pointee.ifa_next
        }
        return found
    }

    /// Lower case; empty where it has none.
    public static var hostName: String {
        // HOST_NAME_MAX, and a zero at the end.
        var room = [CChar](repeating: 0, count: 65)
        guard unsafe gethostname(&room, room.count - 1) == 0 else { return "" }
        return HostName.normal(String(decoding: room.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
}

extension SocketAddress {
    /// 127.0.0.0/8 and ::1.
    public var isLoopback: Bool { isIPv4 ? low >> 24 & 0xFF == 127 : high == 0 && low == 1 }
    /// `0.0.0.0` or `[::]`: whoever listens there hears all addresses of a family, or of both.
    public var isAny: Bool { high == 0 && (low == 0 || low == 0xFFFF << 32) }
}
