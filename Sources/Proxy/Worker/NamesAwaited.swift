import Base
import Net

/// The lines of those who wait for a server's name, and the numbers of all lines of a loop.
struct NamesAwaited {
    let resolver: Resolver
    /// How many lines there were: each has a number of its own.
    private var lines: UInt64 = 0
    /// By server. Its line is there while somebody stands in it, or the answer is on its way.
    private var byServer: [ObjectIdentifier: WaitingLine<Exchange>] = [:]

    init(_ resolver: Resolver) { self.resolver = resolver }

    /// Has a name looked up that nobody waits for.
    func lookUp(_ server: Server) { server.resolve(with: resolver, isAwaited: false) }

    mutating func newLine() -> WaitingLine<Exchange> {
        lines += 1
        return WaitingLine(id: lines)
    }

    /// The first one to wait has the name looked up.
    /// - Parameter found: called when that is done, for better or worse, on any thread.
    mutating func join(
        _ exchange: Exchange, _ server: Server, found: @escaping @Sendable () -> Void
    ) -> WaitingLine<Exchange>.Ticket {
        let id = ObjectIdentifier(server)
        if let ticket = byServer[id]?.join(exchange) { return ticket }
        var line = newLine()
        let ticket = line.join(exchange)
        byServer[id] = line
        server.resolve(with: resolver, done: found)
        return ticket
    }

    mutating func leave(_ server: Server, _ ticket: WaitingLine<Exchange>.Ticket) {
        byServer[ObjectIdentifier(server)]?.leave(ticket)
    }

    /// All who wait for it, who are called by whoever takes them.
    mutating func take(_ server: Server) -> WaitingLine<Exchange>? { byServer.removeValue(forKey: ObjectIdentifier(server)) }
}

/// Calls those who waited for a server's name, some a turn. Who leaves meanwhile is not found here; its ticket is stale then.
final class NameTurn: Source {
    private let server: Server
    private var line: WaitingLine<Exchange>

    init(worker: Worker, _ server: Server, _ line: WaitingLine<Exchange>) {
        (self.server, self.line) = (server, line)
        super.init(loop: worker.loop, fd: -1, flow: worker.loop.commonFlow)
    }

    override func ready(_ events: Readiness) {
        for _ in 0..<Limits.callsPerTurn {
            guard let (exchange, ticket) = line.next() else { return loop.close(self) }
            if exchange.isCalled(ticket) { exchange.resolution.balancer?.counted.resolved(exchange, server) }
        }
        loop.wake(self, [])
    }
}
