import Crypto
import Net

/// Where a connection is to go.
public struct Destination: Sendable {
    /// A name, or an address without brackets. What the server's certificate must have.
    public var host: String
    public var port: UInt16
    /// Known addresses, in the order in which they are tried; nil: the name is looked up.
    public var addresses: [SocketAddress]?
    /// Whose word for the server's name counts; nil: without TLS.
    public var authorities: ServerAuthorities?
    /// What ALPN offers; empty: nothing.
    var offers: [String] = []
    /// What is sent first of all, before TLS.
    public var preamble: [UInt8] = []
    /// It is no errand of the gateway's own, for which descriptors are kept from clients, but one that clients ask for.
    public var isForClients = false

    public init(
        host: String, port: UInt16, addresses: [SocketAddress]? = nil, authorities: ServerAuthorities? = nil
    ) {
        (self.host, self.port, self.addresses, self.authorities) = (host, port, addresses, authorities)
    }
}
