import Base
import COpenSSL

/// Session tickets of clients with certificates: a session that is resumed shows no chain, so its ticket says what the
/// chain was, and a ticket is good for as long as that.
extension TLSListener {
    static func rememberChains(_ context: borrowing Owned) {
        unsafe SSL_CTX_set_session_ticket_cb(
            context.pointer,
            { ssl, _ in
                // One that goes on from an older ticket has it from there.
                guard let ssl = unsafe ssl, unsafe SSL_session_reused(ssl) == 0,
                    let chain = unsafe ClientChain(verifiedBy: ssl)
                else { return 1 }
                return unsafe chain.put(into: SSL_get_session(ssl)) ? 1 : 0
            },
            { _, session, _, _, status, _ in
                let isReadable = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW
                guard isReadable, unsafe TLSListener.isGood(session) else { return Int32(SSL_TICKET_RETURN_IGNORE_RENEW) }
                return Int32(status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW)
            }, nil)
    }

    /// Whether a certificate may be taken from the session instead of from a handshake.
    private static func isGood(_ session: OpaquePointer?) -> Bool {
        if unsafe SSL_SESSION_get0_peer(session) == nil { return true }
        guard let chain = unsafe ClientChain(of: session) else { return false }
        return chain.expires > Int64(Clock.wall() / 1_000_000_000)
    }
}
