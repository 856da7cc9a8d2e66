import Base
import Configuration
import Glibc
import Net
import Proxy

/// Whether the addresses that a configuration listens on can be had. Those of the gateway that runs with the same state are
/// its own: a reload keeps them, and a start comes after its end. So are those that systemd has handed over.
struct TakenPorts {
    private let running: RunningGateway?
    /// Sockets of the running gateway; nil where that may not be looked into.
    private let own: Set<Substring>?
    private let listening = ListeningSockets.all()
    private let inherited = InheritedSockets.take()

    static func faults(in settings: Settings) -> [Diagnostic] {
        let ports = TakenPorts(state: settings.cold.state)
        var found = settings.hot.listeners.compactMap { ports.fault($0.endpoint, at: $0.location, isAdmin: false) }
        if let admin = settings.hot.admin, let place = settings.places.admin {
            found += [ports.fault(admin, at: place, isAdmin: true)].compactMap { $0 }
        }
        return found
    }

    private init(state: String) {
        running = RunningGateway.find(state: state)
        own = running.map { ListeningSockets.inodes(of: $0.pid) } ?? []
    }

    private func fault(_ endpoint: Endpoint, at location: Location, isAdmin: Bool) -> Diagnostic? {
        guard let address = endpoint.address, !inherited.has(endpoint) else { return nil }
        func diagnostic(_ severity: Diagnostic.Severity, _ text: String) -> Diagnostic {
            Diagnostic(severity, at: location, length: endpoint.label.utf8.count, text)
        }
        let error: SystemError
        do throws(SystemError) {
            try Socket.tryAddress(address)
            return nil
        } catch let failure { error = failure }
        let others = listening.filter { Self.overlap($0.address, address) }
        // The running one may be somebody else's: whatever listens may be it.
        if error.code == EADDRINUSE, own == nil || others.contains(where: { own?.contains($0.inode) == true }) {
            return running.flatMap { doubt(endpoint, isAdmin, $0) }.map { diagnostic(.warning, $0) }
        }
        guard error.code == EADDRINUSE, let other = others.first else {
            return diagnostic(.error, "can't listen on \(endpoint.label): \(error)")
        }
        let holder = ListeningSockets.holder(of: Set(others.map(\.inode)))
        let there = other.address.isAny ? "*:\(other.address.port)" : other.address.description
        let who = holder.map { " (\($0.name), process \($0.pid))" } ?? ""
        // One of another state, or of this one before it was moved.
        if let holder, holder.name == ListeningSockets.programName(of: "self") {
            return diagnostic(
                .warning,
                "\(endpoint.label) is in use: a gateway that runs with another state listens on \(there)\(who)")
        }
        // It may be for the gateway that it keeps it.
        if holder?.name == "systemd" {
            return diagnostic(.warning, "\(endpoint.label) is in use: systemd listens on it, for a service that it hands it to\(who)")
        }
        return diagnostic(.error, "\(endpoint.label) is in use: another process listens on \(there)\(who)")
    }

    /// What the running gateway has for something else: a start comes after its end, a reload does not.
    private func doubt(_ endpoint: Endpoint, _ isAdmin: Bool, _ running: RunningGateway) -> String? {
        let admin = running.admin.flatMap(Endpoint.init(label:))
        if isAdmin {
            if endpoint == admin { return nil }
            return
                "the running gateway has \(endpoint.label): a reload can't move the admin listener there, a new start can"
        }
        guard let admin, admin.overlaps(endpoint) else { return nil }
        return "the running gateway's admin listener has \(admin.label): a reload can't listen there, a new start can"
    }

    /// One of them is every address, or both are the same. Whether one of every IPv6 address has those of IPv4 too is not to
    /// be seen from outside.
    private static func overlap(_ one: SocketAddress, _ two: SocketAddress) -> Bool {
        if one.port != two.port { return false }
        if one.high == two.high, one.low == two.low { return true }
        // Every IPv4 address has nothing to do with one of IPv6.
        if one.isAny, one.isIPv4 { return two.isIPv4 || two.isAny }
        if two.isAny, two.isIPv4 { return one.isIPv4 || one.isAny }
        return one.isAny || two.isAny
    }
}
