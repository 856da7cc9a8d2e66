import Base
import COpenSSL

/// Sessions that one server has given, to be resumed with it under the same terms: handshakes without certificates, which were
/// verified before. A session of TLS 1.3 is used once (RFC 8446 appendix C.4), the last one first. One loop's.
public final class KeptSessions {
    private final class Session {
        let session: Owned
        /// Seconds since 1970: what the server's certificate has proved is good for as long as that.
        let expires: Int

        init(_ session: consuming Owned, expires: Int) {
            self.session = session
            self.expires = expires
        }
    }

    private var kept: [Session] = []

    public init() {}

    /// Takes over the caller's reference where it returns true.
    func keep(_ session: OpaquePointer) -> Bool {
        guard unsafe SSL_SESSION_is_resumable(session) == 1, let peer = unsafe SSL_SESSION_get0_peer(session),
            let own = unsafe Owned(session, SSL_SESSION_free)
        else { return false }
        if kept.count == Limits.tlsSessionsMax { kept.removeFirst() }
        kept.append(Session(own, expires: unsafe Validity(of: peer).expires))
        return true
    }

    /// Has the connection resume the last one, if there is one.
    func resume(on ssl: OpaquePointer) {
        let now = Int(Clock.wall() / 1_000_000_000)
        kept.removeAll { unsafe $0.expires <= now || SSL_SESSION_is_resumable($0.session.pointer) == 0 }
        guard let last = kept.last else { return }
        // Counted by the connection as well.
        unsafe SSL_set_session(ssl, last.session.pointer)
        if unsafe SSL_SESSION_get_protocol_version(last.session.pointer) >= TLS1_3_VERSION { kept.removeLast() }
    }
}
