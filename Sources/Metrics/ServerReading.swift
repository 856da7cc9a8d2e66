/// How one server of an upstream stands. The worst comes last: of a template's servers, one a tenant, metrics tell that.
public enum ServerState: Int, Sendable, CaseIterable, Comparable {
    case up
    /// It is back for a short while, and gets a growing share.
    case slowStart
    case backup
    case drain
    case ejected
    case down

    var label: StaticString {
        switch self {
        case .up: "up"
        case .slowStart: "slow_start"
        case .backup: "backup"
        case .drain: "drain"
        case .ejected: "ejected"
        case .down: "down"
        }
    }

    public static func < (a: ServerState, b: ServerState) -> Bool { a.rawValue < b.rawValue }
}

/// What is known of a server beside its requests.
public struct ServerReading: Sendable {
    public var key: ServerMetrics.Key
    public var state: ServerState
    /// How often it was ejected: for failures, and for being slow.
    public var failures, slow: UInt64

    public init(_ key: ServerMetrics.Key, _ state: ServerState, failures: UInt64 = 0, slow: UInt64 = 0) {
        (self.key, self.state, self.failures, self.slow) = (key, state, failures, slow)
    }

    /// One for each key, in the order of upstreams and servers.
    static func summed(_ readings: [ServerReading]) -> [ServerReading] {
        var all: [ServerMetrics.Key: ServerReading] = [:]
        for reading in readings {
            guard var one = all[reading.key] else {
                all[reading.key] = reading
                continue
            }
            one.state = max(one.state, reading.state)
            one.failures &+= reading.failures
            one.slow &+= reading.slow
            all[reading.key] = one
        }
        return all.values.sorted { ($0.key.upstream, $0.key.server) < ($1.key.upstream, $1.key.server) }
    }
}
