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

    /// - Parameter beside: another gateway may listen there too.
    static func bind(
        _ listeners: [(Endpoint, Location)], workers: Int, inherited: inout InheritedSockets, beside: Bool = false
    ) throws(Failure) -> [[Endpoint: Int32]] {
        var sockets: [[Endpoint: Int32]] = Array(repeating: [:], count: workers)
        for (endpoint, location) in listeners {
            if let given = inherited.remove(endpoint, workers: workers) {
                for (worker, fd) in given.enumerated() { sockets[worker][endpoint] = fd }
                continue
            }
            for worker in 0..<workers {
                do {
                    guard let address = endpoint.address else { throw SystemError("listen", EINVAL) }
                    if worker == 0, !beside { try probe(address) }
                    sockets[worker][endpoint] = try Socket.listen(address, sharesPort: true)
                } catch {
                    for list in sockets { for fd in list.values { close(fd) } }
                    throw Failure(location: location, description: "can't listen on \(endpoint.label): \(error)")
                }
            }
        }
        return sockets
    }

    /// Shared ports would let a second gateway of the same user take half of the first one's connections, unnoticed.
    private static func probe(_ address: SocketAddress) throws(SystemError) {
        close(try Socket.listen(address, sharesPort: false))
    }
}
