import Base
import Glibc
import Net

/// Takes new connections, some a turn.
final class AdminListener: Source {
    private let server: AdminServer
    /// After a failure that only time mends, as want of descriptors.
    private static let pause: UInt64 = 100_000_000

    init(server: AdminServer, fd: Int32, flow: Flow) {
        self.server = server
        super.init(loop: server.loop, fd: fd, flow: flow)
    }

    /// Takes connections from now on.
    func begin() {
        isWatched = loop.add(self)
        loop.wake(self, .readable)
        if !isWatched { loop.schedule(self, at: loop.now + Self.pause) }
    }

    /// Without it the kernel says nothing of new connections: they are looked for.
    private var isWatched = false

    override func ready(_ events: Readiness) {
        for _ in 0..<Limits.acceptsPerTurn {
            if let (client, _) = Socket.accept(fd) {
                server.admit(client)
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR, errno != ECONNABORTED {
                return loop.schedule(self, at: loop.now + Self.pause)
            }
        }
        loop.wake(self, .readable)
    }

    override func expired() { if isWatched { loop.wake(self, .readable) } else { begin() } }
}
