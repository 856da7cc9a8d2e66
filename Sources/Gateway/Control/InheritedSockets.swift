import Base
import Configuration
import Glibc
import Net
import Proxy

/// Listening sockets that somebody hands over, matched to `listen` by their address: systemd (sd_listen_fds(3)), descriptors
/// from 3 on, or the gateway before this one.
struct InheritedSockets {
    private var sockets: [SocketAddress: [Int32]] = [:]
    /// Those of one socket have its inode.
    private var inodes: Set<UInt> = []
    /// Beside one of these, workers without a socket may have a new one of the same address.
    private var mayBeJoined = false

    /// Those that a gateway hands over. A socket that comes twice is kept once.
    init(handedOver descriptors: [Int32]) {
        mayBeJoined = true
        for fd in descriptors { add(fd) }
    }

    init() {}

    /// Takes those of systemd, once; a child of this process must not.
    static func take() -> InheritedSockets {
        defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) } }
        var inherited = InheritedSockets()
        guard let pid = getenv("LISTEN_PID").flatMap({ Int32(String(cString: $0)) }), pid == getpid(),
            let count = getenv("LISTEN_FDS").flatMap({ Int32(String(cString: $0)) }), count > 0, count <= 1024
        else { return inherited }
        for fd in 3..<(3 + count) { inherited.add(fd) }
        return inherited
    }

    private mutating func add(_ fd: Int32) {
        guard let address = Socket.localAddress(fd) else { return }
        var status = stat()
        if fstat(fd, &status) == 0, !inodes.insert(UInt(status.st_ino)).inserted {
            close(fd)
            return
        }
        Socket.adoptListener(fd)
        sockets[address, default: []].append(fd)
    }

    func has(_ endpoint: Endpoint) -> Bool { endpoint.address.map { sockets[$0] != nil } ?? false }

    /// The addresses of those that are left.
    var addresses: [SocketAddress] { Array(sockets.keys) }

    /// The sockets of this endpoint, for each worker those that it accepts from; nil when none was handed over. No socket is
    /// left out: connections may wait there.
    mutating func remove(_ endpoint: Endpoint, workers: Int) throws(SystemError) -> [[Int32]]? {
        guard let address = endpoint.address, let given = sockets.removeValue(forKey: address) else { return nil }
        var found: [[Int32]] = Array(repeating: [], count: max(workers, 1))
        for (number, fd) in given.enumerated() { found[number % found.count].append(fd) }
        for worker in given.count..<max(found.count, given.count) {
            // Where the kernel does not let one join, it shares one of those that are there.
            let joined = mayBeJoined && Socket.sharesPort(given[0]) ? try? Socket.listen(address, sharesPort: true) : nil
            let fd = joined ?? fcntl(given[worker % given.count], F_DUPFD_CLOEXEC, 3)
            guard fd >= 0 else {
                let error = SystemError("can't share the socket that was handed over")
                for fd in found.joined() { close(fd) }
                throw error
            }
            found[worker].append(fd)
        }
        return found
    }

    /// What no directive asks for is closed.
    func closeRest() { for fd in sockets.values.joined() { close(fd) } }
}
