import Net

/// Begins a connection to one of a pool's addresses; it stands within `timeout` nanoseconds or has failed. Throws where the
/// system says no, by the server's fault or for a lack of our own (`SystemError.isLack`). Nil where the connection can't be
/// watched: that is our lack, and nothing is known of the server.
typealias Dialer = (ServerPool, SocketAddress, _ timeout: UInt64) throws(SystemError) -> UpstreamEnd?

extension H1Upstream {
    /// Over a socket.
    static func dial(_ pool: ServerPool, _ address: SocketAddress, timeout: UInt64) throws(SystemError) -> UpstreamEnd? {
        let loop = pool.worker.loop
        let connection = H1Upstream(worker: pool.worker, fd: try Socket.connect(address), pool: pool, address: address)
        guard loop.add(connection) else {
            loop.close(connection)
            return nil
        }
        loop.schedule(connection, at: loop.now + timeout)
        return .h1(connection)
    }
}
