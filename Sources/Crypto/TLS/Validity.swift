import COpenSSL
import Glibc

/// When a certificate is valid, in seconds since 1970.
public struct Validity: Sendable, Equatable {
    public var begins: Int
    public var expires: Int

    public init(begins: Int, expires: Int) { (self.begins, self.expires) = (begins, expires) }

    init(of certificate: OpaquePointer) {
        // Both times are parts of the certificate.
        var (begin, end) = unsafe (tm(), tm())
        unsafe ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &begin)
        unsafe ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end)
        begins = unsafe timegm(&begin)
        expires = unsafe timegm(&end)
    }

    public func holds(at now: Int) -> Bool { begins <= now && now < expires }

    /// What somebody should know about it now, as the rest of a sentence; nil where all is well.
    public func doubt(at now: Int) -> String? {
        if now >= expires { return "has expired" }
        if now < begins { return "is not valid yet: it begins in \(Self.text(begins - now))" }
        return expires - now < Self.notice ? "expires in \(Self.text(expires - now))" : nil
    }

    private static let day = 86400
    /// Two weeks: long enough for somebody to be back from a holiday.
    private static let notice = 14 * day

    private static func text(_ seconds: Int) -> String {
        switch seconds {
        case ..<7200: "\(max(1, seconds / 60)) minutes"
        case ..<(2 * day): "\(seconds / 3600) hours"
        default: "\(seconds / day) days"
        }
    }
}
