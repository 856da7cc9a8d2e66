import Net

/// Begins a connection to one of a pool's addresses. Throws where the system says no, by the server's fault or for a lack of
/// our own (`SystemError.isLack`). Nil where the connection can't be watched: that is our lack, and nothing is known of the
/// server. It stands, or fails, when `Dial` is told so: whoever wants it says how long it may take.
typealias Dialer = (ServerPool, ServerAddress) throws(SystemError) -> UpstreamEnd?

extension H1Upstream {
    /// Over a socket.
    static func dial(_ pool: ServerPool, _ address: ServerAddress) throws(SystemError) -> UpstreamEnd? {
        let loop = pool.worker.loop
        let connection = H1Upstream(worker: pool.worker, fd: try Socket.connect(address.address), pool: pool, address: address)
        guard loop.add(connection) else {
            loop.close(connection)
            return nil
        }
        return .h1(connection)
    }
}
