import Net

/// Begins a connection to one of a pool's addresses. Throws where the system says no, by the server's fault or for a lack of
/// our own (`SystemError.isLack`). Nil where the connection can't be watched: that is our lack, and nothing is known of the
/// server.
typealias Dialer = (ServerPool, SocketAddress) throws(SystemError) -> H1Upstream?

extension H1Upstream {
    /// Over a socket.
    static func dial(_ pool: ServerPool, _ address: SocketAddress) throws(SystemError) -> H1Upstream? {
        let loop = pool.worker.loop
        let connection = H1Upstream(
            worker: pool.worker, fd: try Socket.connect(address), pool: pool, address: address)
        if loop.add(connection) { return connection }
        loop.close(connection)
        return nil
    }
}
