/// The protocol version that a TLS handshake agreed on.
public enum HandshakeVersion: Int, CaseIterable, Sendable {
    /// The handshake failed before a version was agreed on; the label is empty.
    case none
    case v1_2
    case v1_3

    var label: StaticString {
        switch self {
        case .none: ""
        case .v1_2: "1.2"
        case .v1_3: "1.3"
        }
    }
}

/// How a TLS handshake ended.
public enum HandshakeResult: Int, CaseIterable, Sendable {
    case success
    case failure
    case timeout

    var label: StaticString {
        switch self {
        case .success: "success"
        case .failure: "failure"
        case .timeout: "timeout"
        }
    }
}

/// TLS handshakes that have ended, by how. Only one thread may write.
struct HandshakeCounters: ~Copyable, Sendable {
    private let counters = InlineArray<18, Counter> { _ in Counter() }

    func add(_ version: HandshakeVersion, resumed: Bool, _ result: HandshakeResult) {
        counters[Self.index(version, resumed, result)].add()
    }

    func count(_ version: HandshakeVersion, resumed: Bool, _ result: HandshakeResult) -> UInt64 {
        counters[Self.index(version, resumed, result)].value
    }

    private static func index(_ version: HandshakeVersion, _ resumed: Bool, _ result: HandshakeResult) -> Int {
        (version.rawValue * 2 + (resumed ? 1 : 0)) * 3 + result.rawValue
    }
}
