import Base

/// A request method (RFC 9110 section 9, and PATCH of RFC 5789). Methods are case-sensitive: `get` is `other`.
public enum Method: UInt8, Sendable {
    case get, head, post, put, delete, connect, options, trace, patch, other

    /// RFC 9110 section 9.2.1: essentially read-only.
    public var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace: true
        default: false
        }
    }

    /// RFC 9110 section 9.2.2: sending it twice has the effect of sending it once. `other` is not: nothing is known of
    /// it.
    public var isIdempotent: Bool { isSafe || self == .put || self == .delete }

    /// The method that these bytes, a token, name.
    init(_ bytes: UnsafeRawBufferPointer) {
        self =
            switch bytes.count {
            case 3: unsafe bytes.equals("GET") ? .get : bytes.equals("PUT") ? .put : .other
            case 4: unsafe bytes.equals("POST") ? .post : bytes.equals("HEAD") ? .head : .other
            case 5: unsafe bytes.equals("PATCH") ? .patch : bytes.equals("TRACE") ? .trace : .other
            case 6: unsafe bytes.equals("DELETE") ? .delete : .other
            case 7: unsafe bytes.equals("OPTIONS") ? .options : bytes.equals("CONNECT") ? .connect : .other
            default: .other
            }
    }
}
