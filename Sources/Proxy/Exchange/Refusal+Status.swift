import Metrics

/// What a refusal is on the wire (RFC 9457, and the table of refusals in the manual).
extension Refusal {
    /// The usual status. Malformed requests have several, of the parser's choosing.
    var status: UInt16 {
        switch self {
        case .badRequest: 400
        case .credentialsRequired, .credentialsInvalid: 401
        case .tenantMismatch, .tenantSuspended: 403
        case .timeout: 408
        case .contentTooLarge: 413
        case .uriTooLong: 414
        case .misdirected: 421
        case .rateLimited, .quotaExceeded, .concurrencyLimited: 429
        case .headersTooLarge: 431
        case .badUpstream: 502
        case .noHealthyUpstream, .overloaded: 503
        case .upstreamTimeout: 504
        }
    }

    /// Seconds for `Retry-After`, where trying again may help.
    var retryAfter: UInt64? {
        switch self {
        case .noHealthyUpstream: 5
        case .overloaded: 1
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

    /// The reason phrase of RFC 9110 section 15, and the title of the problem.
    static func title(_ status: UInt16) -> StaticString {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
