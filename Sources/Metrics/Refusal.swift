/// Why the gateway answered a request itself. The name is the end of the problem type, the `reason` label and the
/// access log's `refused`.
public enum Refusal: UInt8, CaseIterable, Sendable {
    case badRequest
    case credentialsRequired
    case credentialsInvalid
    case tenantMismatch
    case tenantSuspended
    case timeout
    case contentTooLarge
    case uriTooLong
    case headersTooLarge
    case misdirected
    case rateLimited
    case quotaExceeded
    case concurrencyLimited
    case badUpstream
    case upstreamTimeout
    case noHealthyUpstream
    case overloaded
    case forbidden
    case noRoute
    case addressDenied
    case faultInjected
    case authorizationUnavailable

    /// As operators and clients read it.
    public var name: StaticString {
        switch self {
        case .badRequest: "bad-request"
        case .credentialsRequired: "credentials-required"
        case .credentialsInvalid: "credentials-invalid"
        case .tenantMismatch: "tenant-mismatch"
        case .tenantSuspended: "tenant-suspended"
        case .timeout: "timeout"
        case .contentTooLarge: "content-too-large"
        case .uriTooLong: "uri-too-long"
        case .headersTooLarge: "headers-too-large"
        case .misdirected: "misdirected"
        case .rateLimited: "rate-limited"
        case .quotaExceeded: "quota-exceeded"
        case .concurrencyLimited: "concurrency-limited"
        case .badUpstream: "bad-upstream"
        case .upstreamTimeout: "upstream-timeout"
        case .noHealthyUpstream: "no-healthy-upstream"
        case .overloaded: "overloaded"
        case .forbidden: "forbidden"
        case .noRoute: "no-route"
        case .addressDenied: "address-denied"
        case .faultInjected: "fault-injected"
        case .authorizationUnavailable: "authorization-unavailable"
        }
    }
}
