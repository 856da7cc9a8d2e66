import Metrics

/// What a refusal is on the wire (RFC 9457, and the table of refusals in the manual).
extension Refusal {
    /// The usual status. Malformed requests have several, of the parser's choosing.
    var status: UInt16 {
        switch self {
        case .badRequest: 400
        case .credentialsRequired, .credentialsInvalid: 401
        case .tenantMismatch, .tenantSuspended, .forbidden, .addressDenied: 403
        case .noRoute: 404
        case .timeout: 408
        case .contentTooLarge: 413
        case .uriTooLong: 414
        case .misdirected: 421
        case .rateLimited, .quotaExceeded, .concurrencyLimited: 429
        case .headersTooLarge: 431
        case .badUpstream: 502
        case .noHealthyUpstream, .overloaded, .faultInjected, .authorizationUnavailable: 503
        case .upstreamTimeout: 504
        }
    }

    /// Seconds for `Retry-After`, where trying again may help.
    var retryAfter: UInt64? {
        switch self {
        case .noHealthyUpstream: 5
        case .overloaded, .concurrencyLimited, .authorizationUnavailable: 1
        default: nil
        }
    }

    /// For the status that the parser gives a malformed request.
    init(parserStatus: UInt16) {
        switch parserStatus {
        case 414: self = .uriTooLong
        case 431: self = .headersTooLarge
        default: self = .badRequest
        }
    }
}
