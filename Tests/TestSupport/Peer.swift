import Glibc

/// The other end of a connection, for whoever waits: each call ends after five seconds at the latest.
public final class Peer: @unchecked Sendable {
    public let fd: Int32

    public init(_ fd: Int32) {
        self.fd = fd
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(fd, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// Connected to a port of this machine.
    public convenience init(port: UInt16) {
        self.init(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        let result = loopback(port) { connect(fd, $0, $1) }
        precondition(result == 0, "no connection")
    }

    deinit { close(fd) }

    /// False when nobody takes it.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    public func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// What comes next; empty at an end in order, nil after a reset, or when patience is over.
    public func receive() -> [UInt8]? {
        var result = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 64 << 10) { room, count in
            result = recv(fd, room.baseAddress, room.count, 0)
            count = max(0, result)
        }
        return result < 0 ? nil : bytes
    }

    public func read() -> String? { receive().map { String(decoding: $0, as: UTF8.self) } }

    /// Up to an empty line; empty where none comes.
    public func readHead() -> String {
        var text = ""
        while !text.hasSuffix("\r\n\r\n") {
            var byte: UInt8 = 0
            guard recv(fd, &byte, 1, 0) == 1 else { return "" }
            text.unicodeScalars.append(Unicode.Scalar(byte))
        }
        return text
    }

    /// Whether something comes, or an end, in a tenth of a second.
    public func hasNews() -> Bool {
        var asked = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        return poll(&asked, 1, 100) > 0
    }

    /// Its close is a reset.
    public func resetOnClose() {
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }
}

/// Where connections come in, at a port of the kernel's choice.
public final class PeerListener: Sendable {
    private let fd: Int32
    public let port: UInt16
    /// Of its descriptor: the lowest that was free.
    public var number: Int32 { fd }

    public init() {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = loopback(0) { bind(fd, $0, $1) }
        precondition(result == 0 && listen(fd, 64) == 0, "no listener")
        withUnsafeMutablePointer(to: &address) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &size) }
        }
        (self.fd, port) = (fd, UInt16(bigEndian: address.sin_port))
    }

    deinit { close(fd) }

    /// The next connection; nil where none comes in five seconds.
    public func accept() -> Peer? {
        var asked = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        guard poll(&asked, 1, 5000) > 0 else { return nil }
        let peer = Glibc.accept(fd, nil, nil)
        return peer < 0 ? nil : Peer(peer)
    }
}

private func loopback<R>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}
