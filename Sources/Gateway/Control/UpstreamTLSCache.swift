import Configuration
import Crypto
import Synchronization

/// How upstreams are spoken to by TLS, by what their configuration says and their files hold: a reload that changes nothing of
/// it brings the very same object, by which connections and sessions are known as still good.
final class UpstreamTLSCache: Sendable {
    private struct Entry {
        var believed: ServerAuthorities
        var certificate: Certificate?
        var tls: UpstreamTLS
    }

    private struct Authorities {
        var stamps: [FileStamp?]
        var authorities: ServerAuthorities
    }

    private struct Known {
        /// By what is said of them: what a rejected configuration says stands beside what is in force.
        var entries: [[String]: Entry] = [:]
        /// By the file's path; the system's have none.
        var authorities: [String: Authorities] = [:]
    }

    private let known = Mutex(Known())

    /// Lets those go that a configuration in force does not name.
    func keep(only settings: HotSettings) {
        let said = Set(settings.upstreams.compactMap(Self.key))
        let files = Set(settings.upstreams.compactMap { $0.tls.map { $0.authorities?.path ?? "" } })
        known.withLock { known in
            known.entries = known.entries.filter { said.contains($0.key) }
            known.authorities = known.authorities.filter { files.contains($0.key) }
        }
    }

    /// - Parameter certificates: where the certificate that is shown is kept, if there is one.
    func load(_ upstream: UpstreamSettings, certificates: CertificateCache, into diagnostics: inout [Diagnostic]) -> UpstreamTLS? {
        guard let wanted = upstream.tls, let key = Self.key(of: upstream) else { return nil }
        let certificate = wanted.certificate.flatMap { certificates.load($0, into: &diagnostics) }
        guard let believed = authorities(wanted, into: &diagnostics) else { return nil }
        if wanted.certificate != nil, certificate == nil { return nil }
        if let entry = known.withLock({ $0.entries[key] }), entry.certificate === certificate, entry.believed === believed {
            return entry.tls
        }
        do {
            let tls = try UpstreamTLS(
                believed, name: wanted.name, offers: upstream.protocols, certificate: certificate,
                minVersion: wanted.minVersion == .v1_3 ? 0x0304 : 0x0303, verifies: wanted.verifies)
            known.withLock { $0.entries[key] = Entry(believed: believed, certificate: certificate, tls: tls) }
            return tls
        } catch {
            diagnostics.append(Diagnostic(.error, wanted.location, error.description))
            return nil
        }
    }

    /// What its configuration says of it. Nil without TLS.
    private static func key(of upstream: UpstreamSettings) -> [String]? {
        guard let tls = upstream.tls else { return nil }
        let files = [tls.authorities?.path ?? "", tls.certificate?.chain ?? "", tls.certificate?.key ?? ""]
        return [upstream.name, tls.name ?? "", "\(tls.minVersion)", "\(tls.verifies)"] + files + upstream.protocols
    }

    /// The system's.
    /// - Parameter location: of what needs them.
    func system(for location: Location, into diagnostics: inout [Diagnostic]) -> ServerAuthorities? {
        authorities(at: nil, for: location, into: &diagnostics)
    }

    private func authorities(_ wanted: UpstreamTLSSettings, into diagnostics: inout [Diagnostic]) -> ServerAuthorities? {
        authorities(at: wanted.authorities?.path, for: wanted.authorities?.location ?? wanted.location, into: &diagnostics)
    }

    private func authorities(at path: String?, for location: Location, into diagnostics: inout [Diagnostic]) -> ServerAuthorities? {
        let stamps = (path.map { [$0] } ?? ServerAuthorities.systemPaths).map { FileStamp($0) }
        if let entry = known.withLock({ $0.authorities[path ?? ""] }), entry.stamps == stamps { return entry.authorities }
        do {
            let authorities: ServerAuthorities
            if let path { authorities = try ServerAuthorities(file: path) } else { authorities = try ServerAuthorities() }
            known.withLock { $0.authorities[path ?? ""] = Authorities(stamps: stamps, authorities: authorities) }
            return authorities
        } catch {
            diagnostics.append(Diagnostic(.error, location, error.description))
            return nil
        }
    }
}
