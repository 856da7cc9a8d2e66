/// `authorize URL { ... }`: another service decides whether a request passes.
public struct DecisionSettings: Sendable, Hashable {
    public var address: WebAddress
    /// Nanoseconds, for an answer.
    public var timeout: UInt64
    /// Nanoseconds for which an answer is good for the same question; zero: for those who wait for it alone.
    public var keepsFor: UInt64
    /// Without an answer requests pass.
    public var passesOnError: Bool
    /// Names of fields of the answer: those that the upstream gets, and those that the client gets.
    public var requestFields: [String] = []
    public var responseFields: [String] = []

    public init(address: WebAddress, timeout: UInt64 = 200_000_000, keepsFor: UInt64 = 0, passesOnError: Bool = false) {
        (self.address, self.timeout, self.keepsFor, self.passesOnError) = (address, timeout, keepsFor, passesOnError)
    }
}

/// `mirror NAME 10%;`: copies of requests go to another upstream as well.
public struct MirrorSettings: Sendable, Hashable {
    public var upstream: String
    /// Of all requests, in hundredths.
    public var share: UInt8
    /// Bytes of a body that go along.
    public var body = 64 << 10

    public init(upstream: String, share: UInt8) { (self.upstream, self.share) = (upstream, share) }
}
