import Base
import Configuration
import Crypto

/// Warnings of certificates that read well and serve nobody.
enum CertificateDoubts {
    /// - Parameters:
    ///   - certificates: a listener's, in the order of `files`.
    static func of(_ certificates: [Certificate], _ files: [CertificateSettings], of listener: TLSListener) -> [Diagnostic] {
        zip(certificates, files).flatMap { certificate, file in
            var doubts = certificate.doubts(at: now)
            if !listener.presents(certificate) {
                doubts.append("is never presented: " + reason(certificate))
            } else if listener.leavesBrowsersOut(with: certificate) {
                doubts.append("has a key that browsers don't offer: add a certificate of P-256 or RSA for the same names")
            }
            return doubts.map { Diagnostic(.warning, file.location, "the certificate \(file.chain) \($0)") }
        }
    }

    private static func reason(_ certificate: Certificate) -> String {
        if certificate.names.isEmpty { return "it has no DNS name, and is not the first" }
        return certificate.isAccepted(at: now)
            ? "others before it have all of its names, and the same type of key" : "others of its names are"
    }

    static func of(_ authorities: ClientAuthorities, _ file: FileSettings) -> [Diagnostic] {
        let rootless = authorities.rootless
        var doubts = rootless.map { "\(name($0)) has no root in \(file.path): only a chain that leads to one there is accepted" }
        if rootless.count == authorities.certificates.count {
            doubts = ["\(file.path) holds no root, only authorities below one: no client certificate is accepted"]
        }
        for authority in authorities.certificates {
            if let doubt = authority.validity.doubt(at: now) { doubts.append("\(name(authority)) \(doubt)") }
        }
        return doubts.map { Diagnostic(.warning, file.location, $0) }
    }

    /// Of what an upstream's servers are judged by, and shown.
    static func of(_ tls: UpstreamTLS?, _ upstream: UpstreamSettings) -> [Diagnostic] {
        guard let tls, let wanted = upstream.tls else { return [] }
        var found: [Diagnostic] = []
        if let shown = wanted.certificate, let doubt = tls.certificate?.validity.doubt(at: now) {
            found.append(Diagnostic(.warning, shown.location, "the certificate \(shown.chain) \(doubt)"))
        }
        if let file = wanted.authorities, let authorities = try? AuthorityCertificate.read(file.path) {
            for authority in authorities {
                guard let doubt = authority.validity.doubt(at: now) else { continue }
                found.append(Diagnostic(.warning, file.location, "\(name(authority)) \(doubt)"))
            }
        }
        return found
    }

    private static var now: Int { Int(Clock.wall() / 1_000_000_000) }
    private static func name(_ authority: AuthorityCertificate) -> String {
        "the authority \(String(decoding: authority.name, as: UTF8.self))"
    }
}
