import Configuration

/// Kinds of credentials, one bit each.
public struct CredentialSet: OptionSet, Sendable, BitwiseCopyable {
    public let rawValue: UInt8
    @inline(__always) public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static var apiKey: CredentialSet { CredentialSet(rawValue: 1) }
    public static var jwt: CredentialSet { CredentialSet(rawValue: 2) }

    init(_ methods: [AuthenticationMethod]) {
        self = []
        for method in methods { insert(method == .apiKey ? .apiKey : .jwt) }
    }
}
