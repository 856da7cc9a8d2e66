import Base
import Configuration
import Net
import Proxy

/// Servers that are this gateway: their requests come back until they have passed too often. Names are taken for what they
/// are without asking anybody: this machine's own.
struct Circles {
    private let settings: Settings
    private let own: Set<SocketAddress>
    private let hostName = OwnAddresses.hostName

    static func warnings(in settings: Settings) -> [Diagnostic] {
        let circles = Circles(settings)
        return settings.hot.upstreams.lazy.flatMap(\.servers).compactMap(circles.warning)
    }

    private init(_ settings: Settings) {
        self.settings = settings
        own = Set(OwnAddresses.all(port: 0))
    }

    private func warning(_ server: ServerSettings) -> Diagnostic? {
        let listening =
            settings.hot.listeners.map { ($0.endpoint, $0.location) }
            + [settings.hot.admin].compactMap { $0 }.compactMap { admin in settings.places.admin.map { (admin, $0) } }
        guard listening.contains(where: { $0.0.port == server.port }) else { return nil }
        let addresses = addresses(of: server)
        guard let (_, place) = listening.first(where: { endpoint, _ in addresses.contains { hears(endpoint, $0) } })
        else {
            return nil
        }
        let brackets = server.host.contains(":") ? 2 : 0
        return Diagnostic(
            .warning, at: server.location,
            length: server.host.utf8.count + brackets + 1 + String(server.port).utf8.count,
            "this server is the gateway itself, which listens there (\(settings.files[place.file]):\(place.line))")
    }

    /// Where a connection to it leads, as far as that is this machine.
    private func addresses(of server: ServerSettings) -> [SocketAddress] {
        func literal(_ text: String) -> SocketAddress? { SocketAddress(text, port: server.port) }
        if let address = literal(server.host) {
            // Connecting to every address is connecting to the first of loopback.
            return address.isAny ? [literal(address.isIPv4 ? "127.0.0.1" : "::1")].compactMap { $0 } : [address]
        }
        if server.host == "localhost" { return ["127.0.0.1", "::1"].compactMap(literal) }
        guard !hostName.isEmpty, server.host == hostName else { return [] }
        return own.map { SocketAddress(high: $0.high, low: $0.low, port: server.port) }
    }

    private func hears(_ endpoint: Endpoint, _ address: SocketAddress) -> Bool {
        guard let ear = endpoint.address, ear.port == address.port else { return false }
        if !ear.isAny { return ear == address }
        let isOurs = address.isLoopback || own.contains(SocketAddress(high: address.high, low: address.low, port: 0))
        // `[::]` hears IPv4 as well, as `*` does.
        return isOurs && (address.isIPv4 || !ear.isIPv4)
    }
}
