import Base
import Crypto
import Net

/// Connections that wait for a next request: so many at most, each for a while.
final class IdleConnections {
    /// Who may use it: the same name, by the same authorities.
    private struct Key: Equatable {
        var host: String
        var port: UInt16
        var addresses: [SocketAddress]?
        var authorities: ObjectIdentifier?

        init(_ destination: Destination) {
            (host, port, addresses) = (destination.host, destination.port, destination.addresses)
            authorities = destination.authorities.map(ObjectIdentifier.init)
        }
    }

    private let most: Int
    /// The oldest first.
    private var kept: [(key: Key, connection: Connection)] = []

    init(most: Int) { self.most = most }

    /// The one that was used last: it is the least likely to be gone.
    func take(for destination: Destination) -> Connection? {
        let key = Key(destination)
        guard let index = kept.lastIndex(where: { $0.key == key }) else { return nil }
        return kept.remove(at: index).connection
    }

    func keep(_ connection: Connection, for destination: Destination) {
        guard most > 0, !connection.isClosed else { return connection.close() }
        if kept.count == most { kept.removeFirst().connection.close() }
        kept.append((Key(destination), connection))
        connection.user = self
        connection.flow = connection.loop.commonFlow
        connection.resume()
        connection.loop.schedule(connection, at: connection.loop.now + Limits.clientIdleNanoseconds)
    }

    func end() {
        for (_, connection) in kept { connection.close() }
        kept = []
    }
}

extension IdleConnections: ConnectionUser {
    func connected(_ connection: Connection) {}
    func sent(by connection: Connection) {}

    /// Nobody has asked: what comes would be taken for the answer to the next request.
    func received(_ bytes: UnsafeMutableRawBufferPointer, by connection: Connection) {
        connection.close()
        ended(connection, nil)
    }

    func ended(_ connection: Connection, _ failure: ClientFailure?) { kept.removeAll { $0.connection === connection } }
}
