import Configuration
import Crypto

/// The certificate that a client has presented, vouched for by an authority of its listener.
public struct ClientCertificate: Sendable {
    /// SHA-256 of its DER.
    public var fingerprint: Digest256
    /// The distinguished name as RFC 4514 writes it.
    public var subject: String

    public init(fingerprint: Digest256, subject: String) { (self.fingerprint, self.subject) = (fingerprint, subject) }
}

extension Digest256 {
    init(_ settings: DigestSettings) {
        self.init(words: (settings.words[0], settings.words[1], settings.words[2], settings.words[3]))
    }
}
