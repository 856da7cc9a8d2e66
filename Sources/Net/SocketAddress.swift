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

    /// What tells one client from another: an IPv4 address, or a network of IPv6, in which a client has all 2^64 addresses
    /// (RFC 4291 section 2.5.4).
    public var client: UInt64 { isIPv4 ? low : high }

    /// The same address, whatever the ports.
    public func hasSameHost(as other: SocketAddress) -> Bool { high == other.high && low == other.low }

    /// A numeric address without brackets; nil for anything else.
    public init?(_ host: String, port: UInt16) {
        // What inet_pton(3) writes: 4 bytes, and 16.
        var v4: UInt32 = 0
        var v6: (high: UInt64, low: UInt64) = (0, 0)
        if unsafe inet_pton(AF_INET, host, &v4) == 1 {
            self.init(high: 0, low: 0xFFFF << 32 | UInt64(UInt32(bigEndian: v4)), port: port)
        } else if unsafe inet_pton(AF_INET6, host, &v6) == 1 {
            self.init(high: UInt64(bigEndian: v6.high), low: UInt64(bigEndian: v6.low), port: port)
        } else {
            return nil
        }
    }

    public static func any(port: UInt16) -> SocketAddress { SocketAddress(high: 0, low: 0, port: port) }

    /// The kernel's form of an address. Its family says how long it is.
    init?(_ storage: UnsafePointer<sockaddr>) {
        switch unsafe Int32(storage.pointee.sa_family) {
        case AF_INET:
            let a = unsafe UnsafeRawPointer(storage).load(as: sockaddr_in.self)
            self.init(high: 0, low: 0xFFFF << 32 | UInt64(UInt32(bigEndian: a.sin_addr.s_addr)), port: UInt16(bigEndian: a.sin_port))
        case AF_INET6:
            let a = unsafe UnsafeRawPointer(storage).load(as: sockaddr_in6.self)
            // Both are 16 bytes, of which any will do.
            let (high, low) = unsafe unsafeBitCast(a.sin6_addr, to: (UInt64, UInt64).self)
            self.init(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), port: UInt16(bigEndian: a.sin6_port))
        default: return nil
        }
    }

    /// Makes a system call that writes an address. What the call returned, and the address where it is an IP address.
    @inline(__always)
    static func written(
        by call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> (result: Int32, address: SocketAddress?) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            // A sockaddr_storage may be looked at as any other address (RFC 3493 section 3.10).
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let result = unsafe call(address, &length)
                return (result, result < 0 ? nil : unsafe SocketAddress(address))
            }
        }
    }

    /// Calls `body` with the kernel's form of the address.
    func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        if isIPv4 {
            var a = sockaddr_in()
            a.sin_family = sa_family_t(AF_INET)
            a.sin_port = port.bigEndian
            a.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
            return unsafe Self.pass(a, to: body)
        }
        var a = sockaddr_in6()
        a.sin6_family = sa_family_t(AF_INET6)
        a.sin6_port = port.bigEndian
        a.sin6_addr = unsafe unsafeBitCast((high.bigEndian, low.bigEndian), to: in6_addr.self)
        return unsafe Self.pass(a, to: body)
    }

    /// - Parameter form: one of the kernel's, each of which begins as a sockaddr does.
    private static func pass<Form, R>(_ form: Form, to body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        unsafe withUnsafePointer(to: form) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, socklen_t(MemoryLayout<Form>.size)) }
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
        // INET6_ADDRSTRLEN, with the zero at the end that inet_ntop(3) writes.
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 46) { room in
            guard unsafe inet_ntop(AF_INET6, &bytes, room.baseAddress, 46) != nil else { return }
            unsafe writer.append(room.baseAddress!, strlen(room.baseAddress!))
        }
    }

    public var host: String {
        unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            var writer = unsafe ByteWriter(room)
            writeHost(to: &writer)
            return unsafe String(decoding: writer.written, as: UTF8.self)
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    public var description: String { isIPv4 ? "\(host):\(port)" : "[\(host)]:\(port)" }
}
