import Base
import Configuration

/// By what upstreams are known from one configuration to the next. An upstream keeps its key when it has another name and the
/// same servers: what is known of it, and its connections, outlive its name.
struct UpstreamKeys: Sendable {
    private struct Known {
        var key: String
        var servers: Set<String>
    }

    /// By name.
    private var known: [String: Known] = [:]

    /// Those of another configuration.
    /// - Returns: the key of each of its upstreams, and what the configuration after it is compared with.
    func next(_ upstreams: [UpstreamSettings]) -> (keys: [String], next: UpstreamKeys) {
        let servers = upstreams.map { Set($0.servers.map { Endpoint(host: $0.host, port: $0.port).label }) }
        var unclaimed = known
        for upstream in upstreams { unclaimed[upstream.name] = nil }
        // Names that are gone, by the servers that they stood for; nil where they are two's.
        var renamed: [Set<String>: String?] = [:]
        for (name, one) in unclaimed { renamed[one.servers] = renamed.keys.contains(one.servers) ? .some(nil) : .some(name) }
        var keys = upstreams.map { known[$0.name]?.key }
        for (place, own) in servers.enumerated() where keys[place] == nil {
            guard let found = renamed[own], let name = found else { continue }
            keys[place] = known[name]?.key
            renamed[own] = nil
        }
        var taken = Set(keys.compactMap { $0 })
        var next = UpstreamKeys()
        let all = upstreams.indices.map { place in
            let key = keys[place] ?? Self.free(upstreams[place].name, taken)
            taken.insert(key)
            next.known[upstreams[place].name] = Known(key: key, servers: servers[place])
            return key
        }
        return (all, next)
    }

    /// The name, unless it is the key of one that had it before.
    private static func free(_ name: String, _ taken: Set<String>) -> String {
        var (key, count) = (name, 1)
        while taken.contains(key) {
            count += 1
            key = "\(name)#\(count)"
        }
        return key
    }
}
