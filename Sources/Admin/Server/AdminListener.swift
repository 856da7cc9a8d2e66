import Net

/// The admin server's socket.
final class AdminListener: Acceptor {
    private let server: AdminServer

    init(server: AdminServer, fd: Int32, flow: Flow) {
        self.server = server
        super.init(loop: server.loop, fd: fd, flow: flow)
    }

    override func accepted(_ fd: Int32, from peer: SocketAddress) -> Bool {
        server.admit(fd)
        return true
    }
}
