import Base
import Net

extension AdminHandler {
    /// Whether a request for this host is meant for us: a browser on the operator's machine sends whatever a page tells it
    /// to, and a page whose name's address was changed to ours (DNS rebinding) could read the answers. Of an address or of
    /// `localhost` nobody else decides where it points; any other name must be one that the directive `admin` has.
    func isOurs(_ host: String) -> Bool {
        let name = HostName.normal(host)
        return name == "localhost" || name.hasPrefix("[") || SocketAddress(name, port: 0) != nil || services.hosts().contains(name)
    }
}
