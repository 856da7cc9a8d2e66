/// The protocol version of a message. A minor version above 1 is read as 1.1 (RFC 9112 section 2.3).
public enum Version: UInt8, Sendable {
    case http10, http11
}
