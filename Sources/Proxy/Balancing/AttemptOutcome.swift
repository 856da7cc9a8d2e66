/// What an attempt at a server has come to: one request's, at one server. Every attempt has one, and only one.
enum AttemptOutcome: Equatable {
    /// No connection could be made.
    case unreachable
    /// Its name has no address: there was nothing to connect to.
    case nameless
    /// The head of an answer came, with this status; of a tunnel 101.
    case answered(UInt16)
    /// A connection was there, and no answer came in time.
    case timedOut
    /// A connection was there, and it ended without an answer.
    case cut
    /// A kept connection had ended when the request came to it: nothing is known of the server.
    case stale
    /// What came is no answer.
    case malformed
    /// Given up on our side before anything of that: nothing is known of the server.
    case abandoned
}
