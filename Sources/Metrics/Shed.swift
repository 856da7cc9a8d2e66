/// What was not served, or ended, for the sake of all else. The name is the `reason` label.
public enum Shed: UInt8, CaseIterable, Sendable {
    /// Requests refused for want of memory or descriptors, or because loops are late.
    case memory, descriptors, lag
    /// Connections that waited for their next request.
    case idle
    /// New connections of an address that has too many, or begins too many handshakes.
    case addressConnections, addressHandshakes

    var name: StaticString {
        switch self {
        case .memory: "memory"
        case .descriptors: "descriptors"
        case .lag: "lag"
        case .idle: "idle"
        case .addressConnections: "address_connections"
        case .addressHandshakes: "address_handshakes"
        }
    }
}
