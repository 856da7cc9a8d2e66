import Base
import Configuration
import Glibc
import Net
import Proxy

/// The sockets of new listeners: one for each worker, or none at all.
enum ListenerSockets {
    struct Failure: Error, CustomStringConvertible {
        var location: Location
        var description: String
    }

    /// - Parameters:
    ///   - held: what this process listens on already.
    ///   - beside: another gateway may listen there too.
    static func bind(
        _ listeners: [(Endpoint, Location)], workers: Int, inherited: inout InheritedSockets,
        held: [Endpoint] = [], beside: Bool = false
    ) throws(Failure) -> [[Endpoint: [Int32]]] {
        // All of them before the first is there: `*:80` would be in the way of `127.0.0.1:80`.
        for (endpoint, location) in listeners where !beside && !inherited.has(endpoint) && !held.contains(where: endpoint.overlaps) {
            do throws(SystemError) {
                if let address = endpoint.address { try probe(address) }
            } catch { throw Failure(location: location, description: "can't listen on \(endpoint.label): \(error)") }
        }
        var sockets: [[Endpoint: [Int32]]] = Array(repeating: [:], count: workers)
        for (endpoint, location) in listeners {
            do throws(SystemError) {
                if let given = try inherited.remove(endpoint, workers: workers) {
                    for (worker, those) in given.enumerated() { sockets[worker][endpoint] = those }
                    continue
                }
                guard let address = endpoint.address else { throw SystemError("listen", EINVAL) }
                for worker in 0..<workers { sockets[worker][endpoint] = [try Socket.listen(address, sharesPort: true)] }
            } catch {
                close(sockets)
                throw Failure(location: location, description: "can't listen on \(endpoint.label): \(error)")
            }
        }
        return sockets
    }

    static func close(_ sockets: [[Endpoint: [Int32]]]) {
        for list in sockets { for fd in list.values.joined() { Glibc.close(fd) } }
    }

    /// Shared ports would let a second gateway of the same user take half of the first one's connections, unnoticed.
    private static func probe(_ address: SocketAddress) throws(SystemError) {
        Glibc.close(try Socket.listen(address, sharesPort: false))
    }
}
