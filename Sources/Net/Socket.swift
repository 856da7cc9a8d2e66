import Base
import CLinux
import Glibc

/// A failed system call.
public struct SystemError: Error, CustomStringConvertible {
    public var call: String
    public var code: Int32
    public var description: String { "\(call): \(unsafe String(cString: strerror(code)))" }
    public init(_ call: String, _ code: Int32 = errno) { (self.call, self.code) = (call, code) }

    /// Something this machine has no more of: it says nothing about whoever was to be reached.
    public var isLack: Bool { [EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EADDRNOTAVAIL].contains(code) }
}

/// Socket calls, non-blocking and close-on-exec. Each gets a pointer to a value on the stack with its size, and keeps neither.
public enum Socket {
    /// A listening TCP socket. With `sharesPort` several sockets share the address, and the kernel spreads connections.
    public static func listen(
        _ address: SocketAddress, sharesPort: Bool, backlog: Int32 = Int32(Limits.acceptBacklog)
    ) throws(SystemError) -> Int32 {
        let fd = try bound(address, sharesPort: sharesPort)
        guard Glibc.listen(fd, backlog) == 0 else {
            let error = SystemError("listen")
            close(fd)
            throw error
        }
        return fd
    }

    /// Throws where `listen` would. What is bound and does not listen takes no connection from whoever does.
    public static func tryAddress(_ address: SocketAddress) throws(SystemError) { close(try bound(address, sharesPort: false)) }

    private static func bound(_ address: SocketAddress, sharesPort: Bool) throws(SystemError) -> Int32 {
        let family = address.isIPv4 ? AF_INET : AF_INET6
        let fd = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw SystemError("socket") }
        do throws(SystemError) {
            try set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
            if sharesPort { try set(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
            // `*` listens on IPv4 as well; a numeric IPv6 address is just that.
            let isAny = address.high == 0 && address.low == 0
            if family == AF_INET6 { try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, isAny ? 0 : 1) }
            hurry(fd)
            guard unsafe address.withSockaddr({ unsafe bind(fd, $0, $1) }) == 0 else { throw SystemError("bind") }
            return fd
        } catch {
            close(fd)
            throw error
        }
    }

    /// Makes a listening socket of somebody else's making like one of `listen`.
    public static func adoptListener(_ fd: Int32) {
        _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
        _ = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)
        hurry(fd)
    }

    /// Whether others may share its address.
    public static func sharesPort(_ fd: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(4)
        return unsafe getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &length) == 0 && value != 0
    }

    /// The next waiting connection; nil with `errno` set when there is none.
    @inline(__always)
    public static func accept(_ listener: Int32) -> (fd: Int32, peer: SocketAddress)? {
        let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let (fd, peer) = unsafe SocketAddress.written { unsafe accept4(listener, $0, $1, flags) }
        return fd < 0 ? nil : (fd, peer ?? SocketAddress(high: 0, low: 0, port: 0))
    }

    /// Starts to connect. The result is seen when the socket becomes writable.
    /// - Parameter fromReserve: it may be one of the descriptors that are kept from clients.
    public static func connect(_ address: SocketAddress, fromReserve: Bool = false) throws(SystemError) -> Int32 {
        let family = address.isIPv4 ? AF_INET : AF_INET6
        let fd = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw SystemError("socket") }
        guard fromReserve || Descriptors.areLeft(behind: fd) else {
            close(fd)
            throw SystemError("socket", EMFILE)
        }
        hurry(fd)
        if unsafe address.withSockaddr({ unsafe Glibc.connect(fd, $0, $1) }) != 0 && errno != EINPROGRESS {
            let error = SystemError("connect")
            close(fd)
            throw error
        }
        return fd
    }

    /// The pending error of a socket, 0 for none.
    public static func error(_ fd: Int32) -> Int32 {
        var value: Int32 = 0
        var length = socklen_t(4)
        return unsafe getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length) == 0 ? value : errno
    }

    /// Nothing has come on it, neither bytes nor an end or an error. Nothing is taken.
    public static func isQuiet(_ fd: Int32) -> Bool {
        var byte: UInt8 = 0
        return unsafe recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) < 0 && errno == EAGAIN
    }

    /// Bytes sent that the peer's kernel has not acknowledged, those not sent yet among them (tcp(7), SIOCOUTQ).
    public static func unacknowledged(_ fd: Int32) -> Int32 {
        var count: Int32 = 0
        return unsafe ioctl(fd, UInt(TIOCOUTQ), &count) == 0 ? count : 0
    }

    /// The address that the client connected to.
    public static func localAddress(_ fd: Int32) -> SocketAddress? {
        unsafe SocketAddress.written { unsafe getsockname(fd, $0, $1) }.address
    }

    /// Makes `close` send a reset: the peer must not take what it got for complete.
    public static func resetOnClose(_ fd: Int32) {
        var value = Glibc.linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    public static func finishSending(_ fd: Int32) { shutdown(fd, Int32(SHUT_WR)) }

    private static func set<Value: BitwiseCopyable>(
        _ fd: Int32, _ level: Int32, _ name: Int32, _ value: Value
    ) throws(SystemError) {
        var value = value
        let result = unsafe setsockopt(fd, level, name, &value, socklen_t(MemoryLayout<Value>.size))
        if result != 0 { throw SystemError("setsockopt") }
    }

    /// What is sent leaves at once. Where it can't be had it leaves a little later. A listener's is inherited by every
    /// accepted connection: one system call less on each.
    private static func hurry(_ fd: Int32) {
        var yes: Int32 = 1
        unsafe setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
    }
}
