/// The field names that mean something to the gateway, told apart once, so that the rest of the path compares one byte.
public enum FieldName: UInt8, Sendable, CaseIterable {
    /// A name without a meaning here.
    case other = 0
    case host, connection, keepAlive, proxyConnection, te, trailer, transferEncoding, upgrade, contentLength, expect
    case authorization, proxyAuthorization, proxyAuthenticate, xAPIKey
    case forwarded, xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort
    /// Every other `x-forwarded-*` name.
    case xForwardedOther
    /// A name by which a proxy in front tells the scheme beside `x-forwarded-proto`: `x-forwarded-ssl` and its like.
    case forwardedScheme
    /// A name that a reader which folds punctuation takes for one of those that the gateway writes or believes
    /// (`X_Forwarded_For`). It means nothing here, and never passes.
    case foldedForwarding
    /// `via` stands for `x-gateway-via` too, which tells of this gateway where `Via` is not wanted.
    case xRealIP, via, xRequestID, traceparent, tracestate
    /// Any name that starts with `x-tenant-`.
    case xTenant
    /// What CGI would take for the address of a proxy to use (`HTTP_PROXY`). It never passes.
    case proxy
    /// A name by which a proxy in front tells applications of another target, method, host, scheme or client than the
    /// request's own.
    case override
    case date, server, origin
    /// Known so that the common ones need no check of each byte, and so that they stay out of trailers.
    case accept, acceptEncoding, acceptLanguage, userAgent, cookie, setCookie, referer, contentType, cacheControl
    case wwwAuthenticate
    /// A name that a reader which folds punctuation takes for a framing field (`Content_Length`): a head with it is
    /// refused.
    case ambiguousFraming

    /// RFC 9110 section 7.6.1: meant for this connection only, never forwarded.
    @inline(__always)
    public var isHopByHop: Bool { FieldSet.hopByHop.contains(self) }
}

/// A set of known field names, one bit each.
public struct FieldSet: Sendable, Equatable {
    public var bits: UInt64

    @inline(__always)
    public init(bits: UInt64 = 0) { self.bits = bits }

    @inline(__always)
    public init(_ name: FieldName) { bits = 1 &<< UInt64(name.rawValue) }

    @inline(__always)
    public func contains(_ name: FieldName) -> Bool { intersects(FieldSet(name)) }

    @inline(__always)
    public func intersects(_ other: FieldSet) -> Bool { bits & other.bits != 0 }

    @inline(__always)
    public static func | (left: FieldSet, right: FieldSet) -> FieldSet { FieldSet(bits: left.bits | right.bits) }

    @inline(__always)
    public static func | (left: FieldSet, right: FieldName) -> FieldSet { left | FieldSet(right) }

    // Computed, not stored: a stored one costs a check for its first use at each use.

    /// RFC 9110 section 7.6.1.
    @inline(__always)
    public static var hopByHop: FieldSet {
        FieldSet(.connection) | .keepAlive | .proxyConnection | .te | .trailer | .transferEncoding | .upgrade
    }

    /// Names that `Connection` has no power over: the gateway writes them, or decides by them.
    @inline(__always)
    static var protected: FieldSet {
        FieldSet(.host) | .contentLength | .transferEncoding | .expect | .authorization | .proxyAuthorization | .xAPIKey
            | .forwarded | .xForwardedFor | .xForwardedProto | .xForwardedHost | .xForwardedPort | .xForwardedOther
            | .forwardedScheme | .foldedForwarding | .xRealIP | .via | .xRequestID | .traceparent | .tracestate | .xTenant
            | .override | .date | .server | .contentType
            | .cookie | .setCookie | .wwwAuthenticate | .proxyAuthenticate
    }

    /// Names whose folded spellings count too: an upstream would take them for what the gateway has taken away.
    @inline(__always)
    static var folded: FieldSet { FieldSet(.xAPIKey) | .override }

    /// Names whose folded spellings an upstream would take for what the gateway wrote.
    @inline(__always)
    static var forwarding: FieldSet {
        FieldSet(.forwarded) | .xForwardedFor | .xForwardedProto | .xForwardedHost | .xForwardedPort | .xForwardedOther
            | .forwardedScheme | .xRealIP | .xRequestID | .xTenant
    }

    /// Names that decide where a message ends or where it goes: in a trailer they come too late for every honest use.
    @inline(__always)
    static var framing: FieldSet {
        FieldSet(.host) | .contentLength | .transferEncoding | .ambiguousFraming
    }
}
