import Crypto
import Net

/// How a server is spoken to, as one configuration says it. What was connected under other terms carries no further request.
struct ConnectionTerms: Equatable {
    /// What is spoken first of all, or with TLS expected until ALPN has said.
    var speaksH2 = false
    var tls: UpstreamTLS?
    /// Connections begin with a PROXY header, and serve one client address each.
    var proxy: ProxyHeader.Version?

    static func == (one: Self, other: Self) -> Bool {
        one.speaksH2 == other.speaksH2 && one.tls === other.tls && one.proxy == other.proxy
    }

    /// A connection carries no request as soon as it is made: something goes before.
    var hasPreamble: Bool { tls != nil || proxy != nil }
}
