/// How the end of a message's body is found (RFC 9112 section 6.3).
public enum BodyFraming: Equatable, Sendable {
    /// There is no body, and no field that speaks of one has a say.
    case none
    /// As many bytes as `Content-Length` says; zero is possible.
    case length(UInt64)
    case chunked
    /// The body ends with the connection: answers only.
    case untilClose
}
