import Base
import Configuration
import Glibc
import Net
import Proxy

/// Listening sockets that systemd hands over (sd_listen_fds(3)): descriptors from 3 on, matched to `listen` by their address.
struct InheritedSockets {
    private var sockets: [SocketAddress: Int32] = [:]

    /// Takes them, once; a child of this process must not.
    static func take() -> InheritedSockets {
        defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) } }
        var inherited = InheritedSockets()
        guard let pid = getenv("LISTEN_PID").flatMap({ Int32(String(cString: $0)) }), pid == getpid(),
            let count = getenv("LISTEN_FDS").flatMap({ Int32(String(cString: $0)) }), count > 0, count <= 1024
        else { return inherited }
        for fd in 3..<(3 + count) {
            guard let address = Socket.localAddress(fd) else { continue }
            Socket.adoptListener(fd)
            inherited.sockets[address] = fd
        }
        return inherited
    }

    func has(_ endpoint: Endpoint) -> Bool { endpoint.address.map { sockets[$0] != nil } ?? false }

    /// The socket of this endpoint, for each worker a descriptor of it; nil when none was handed over.
    mutating func remove(_ endpoint: Endpoint, workers: Int) throws(SystemError) -> [Int32]? {
        guard let address = endpoint.address, let fd = sockets.removeValue(forKey: address) else { return nil }
        var found = [fd]
        for _ in 1..<max(workers, 1) {
            found.append(fcntl(fd, F_DUPFD_CLOEXEC, 3))
            if found.last == -1 { throw SystemError("can't share the socket that was handed over") }
        }
        return found
    }

    /// What no directive asks for is closed.
    func closeRest() { for fd in sockets.values { close(fd) } }
}
