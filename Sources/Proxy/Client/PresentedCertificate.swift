import Configuration
import Crypto

/// What a client has presented in its handshake, for as long as the connection lives. What was good then need not be good
/// for the next request: certificates expire, and a reload may take away the authority that vouched for them.
final class PresentedCertificate {
    private let certificate: ClientCertificate
    private let endpoint: Endpoint
    private var looked = -1
    private var isVouchedFor = false

    /// - Parameter endpoint: the listener's, on which it was presented.
    init(_ certificate: ClientCertificate, on endpoint: Endpoint) { (self.certificate, self.endpoint) = (certificate, endpoint) }

    /// Nil when it is no longer good.
    /// - Parameter now: seconds since 1970.
    func current(in view: WorkerView, now: UInt64) -> ClientCertificate? {
        if looked != view.number {
            looked = view.number
            let listener = view.snapshot.listeners.first { $0.endpoint == endpoint }
            isVouchedFor = listener?.tls?.vouches(for: certificate) ?? false
        }
        return isVouchedFor && Int64(now) < certificate.expires ? certificate : nil
    }
}
