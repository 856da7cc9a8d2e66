/// A worker's balancers and pools. They are kept by what they stand for and outlive configurations: a balancer by its
/// upstream's identity, a pool by its server.
final class Balancers {
    private var balancers: [String: Balancer] = [:]
    private var pools: [ObjectIdentifier: ServerPool] = [:]

    /// The first request of an upstream since the configuration changed, or of all: later ones find it in the view.
    /// - Parameter view: of the configuration in force.
    func balancer(forUpstream number: Int, in view: WorkerView, on worker: Worker) -> Balancer {
        let upstream = view.snapshot.upstreams[number]
        let balancer =
            balancers[upstream.identity]
            ?? Balancer(
                upstream, worker: worker, metrics: worker.registry.upstream(upstream.name, worker: worker.index))
        balancers[upstream.identity] = balancer
        view.keep(balancer, forUpstream: number)
        return balancer
    }

    func pool(of server: Server, on worker: Worker) -> ServerPool {
        let id = ObjectIdentifier(server)
        if let known = pools[id] { return known }
        let metrics = worker.registry.server(server.configured, of: server.upstream, worker: worker.index)
        let pool = ServerPool(server: server, worker: worker, metrics: metrics)
        pools[id] = pool
        return pool
    }

    /// The balancer of that upstream, if any request of this loop has wanted it.
    func known(_ identity: String) -> Balancer? { balancers[identity] }

    /// The pool of that server, if any request of this loop has wanted it.
    func known(_ server: Server) -> ServerPool? { pools[ObjectIdentifier(server)] }

    /// Another configuration is in force. A balancer whose upstream it has goes on by it. One whose upstream it has no more
    /// is retired: earlier views hold it, and its turn does while somebody waits there, so that it goes with the last of
    /// its requests. Should the upstream come back, it begins anew.
    func adopt(_ view: WorkerView) {
        let next = view.snapshot
        var retired: [String] = []
        for (identity, balancer) in balancers {
            if let number = next.upstreamNumbers[identity] {
                balancer.adopt(next.upstreams[number])
                view.keep(balancer, forUpstream: number)
            } else {
                retired.append(identity)
            }
        }
        for identity in retired { balancers[identity] = nil }
        for pool in pools.values { pool.rename() }
        for (id, pool) in pools where !next.openServers.contains(id) {
            pool.retire()
            pools[id] = nil
        }
    }

    /// Tells metrics of unused connections.
    func tellIdle() { for pool in pools.values { pool.tellIdle() } }

    /// Connections are kept again.
    func reopenPools() {
        for pool in pools.values { pool.reopen() }
    }

    /// No connection of any pool is kept any more.
    func retirePools() {
        for pool in pools.values { pool.retire() }
    }
}
