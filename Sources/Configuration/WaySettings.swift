/// Where a route's requests go beside its upstream, and under which name.
public struct WaySettings: Sendable, Hashable {
    /// `split NAME 5% by=client;`
    public struct Split: Sendable, Hashable {
        public var upstream: String
        /// Of all requests, in hundredths.
        public var share: UInt8
    }

    /// What decides about the side, so that who has it in common stays on one.
    public enum Key: Sendable, Hashable {
        /// The client's address; of IPv6 the network.
        case client
        /// The API key, or whoever the token or the certificate names; without any of them the client.
        case key
        case tenant
        /// Each request for itself.
        case request
        /// A field's value, its name in lower case; without it each request for itself.
        case header(String)
    }

    public var splits: [Split] = []
    public var key = Key.client
    /// What stands for the route's path, or for the whole path of an exact one; nil: nothing does.
    public var rewrite: String?
    /// What `Host` says to the upstream; nil: what the client has said.
    public var host: String?
    public init() {}

    public var isPlain: Bool { self == WaySettings() }
}
