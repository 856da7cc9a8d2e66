import Base
import Glibc

/// An IPv4 or IPv6 address and port. IPv4 is kept as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
public struct SocketAddress: Sendable, Hashable {
    /// The 128 bits, in host byte order.
    public var high: UInt64
    public var low: UInt64
    public var port: UInt16

    public init(high: UInt64, low: UInt64, port: UInt16) { (self.high, self.low, self.port) = (high, low, port) }

    public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// A numeric address without brackets; nil for anything else.
    public init?(_ host: String, port: UInt16) {
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, host, &v4) == 1 {
            self.init(high: 0, low: 0xFFFF << 32 | UInt64(UInt32(bigEndian: v4.s_addr)), port: port)
        } else if inet_pton(AF_INET6, host, &v6) == 1 {
            self.init(&v6, port: port)
        } else {
            return nil
        }
    }

    public static func any(port: UInt16) -> SocketAddress { SocketAddress(high: 0, low: 0, port: port) }

    init?(_ storage: UnsafePointer<sockaddr>) {
        switch Int32(storage.pointee.sa_family) {
        case AF_INET:
            let a = UnsafeRawPointer(storage).load(as: sockaddr_in.self)
            self.init(high: 0, low: 0xFFFF << 32 | UInt64(UInt32(bigEndian: a.sin_addr.s_addr)), port: UInt16(bigEndian: a.sin_port))
        case AF_INET6:
            var a = UnsafeRawPointer(storage).load(as: sockaddr_in6.self)
            self.init(&a.sin6_addr, port: UInt16(bigEndian: a.sin6_port))
        default: return nil
        }
    }

    /// The kernel's addresses stand at multiples of four bytes, not of eight.
    private init(_ address: inout in6_addr, port: UInt16) {
        let (high, low) = withUnsafeBytes(of: &address) {
            ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        self.init(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), port: port)
    }

    /// Calls `body` with the kernel's form of the address.
    func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        if isIPv4 {
            var a = sockaddr_in()
            a.sin_family = sa_family_t(AF_INET)
            a.sin_port = port.bigEndian
            a.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
            return withUnsafePointer(to: &a) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
            }
        }
        var a = sockaddr_in6()
        a.sin6_family = sa_family_t(AF_INET6)
        a.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &a.sin6_addr) {
            $0.storeBytes(of: high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return withUnsafePointer(to: &a) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
        }
    }

    /// The address without brackets or port, as text.
    public func writeHost(to writer: inout ByteWriter) {
        if isIPv4 {
            for shift in stride(from: UInt64(24), through: 0, by: -8) {
                writer.append(decimal: low >> shift & 0xFF)
                if shift > 0 { writer.append(byte: 0x2E) }
            }
            return
        }
        var bytes = (high.bigEndian, low.bigEndian)
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 46) { room in
            guard inet_ntop(AF_INET6, &bytes, room.baseAddress, 46) != nil else { return }
            writer.append(room.baseAddress!, strlen(room.baseAddress!))
        }
    }

    public var host: String {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            var writer = ByteWriter(room)
            writeHost(to: &writer)
            return String(decoding: writer.written, as: UTF8.self)
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    public var description: String { isIPv4 ? "\(host):\(port)" : "[\(host)]:\(port)" }
}
