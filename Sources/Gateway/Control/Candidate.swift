import Base
import Configuration
import Crypto
import Glibc
import Net
import Proxy
import Tenancy

/// A configuration read from disk with everything it names: validated whole before anything of it is used.
struct Candidate: Sendable {
    var loaded: LoadedConfiguration
    /// nil when there is an error.
    var settings: Settings?
    /// Of each listener, nil for plain ones.
    var tls: [TLSListener?] = []
    /// Of each upstream, nil for plain ones.
    var upstreamTLS: [UpstreamTLS?] = []
    /// Of the settings' issuers, with their keys.
    var issuers: [TokenIssuer] = []
    /// Ids of those that the settings' issuers of client certificates mean.
    var authorities: [CertificateIssuer: Set<Digest256>] = [:]
    /// Whose word counts for services that decide about requests; nil where none is asked by https.
    var serverAuthorities: ServerAuthorities?
    var diagnostics: [Diagnostic]

    var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }
    var warnings: [Diagnostic] { diagnostics.filter { $0.severity == .warning } }

    /// Reads the file, its includes, the certificates and the key sets.
    /// - Parameters:
    ///   - isCheck: nothing is going to be started by it: all that a start would meet is looked for.
    ///   - isReload: the file was read before, so that there is nothing more to be had from a pipe.
    static func read(
        _ path: String, certificates: CertificateCache = CertificateCache(), upstreams: UpstreamTLSCache = UpstreamTLSCache(),
        keySets: KeySetStore = KeySetStore(),
        isCheck: Bool = false, isReload: Bool = false
    ) -> Candidate {
        let loaded = ConfigurationLoader.load(path, from: isReload ? .disk : .disk(withPipe: path))
        // Certificates of a configuration with other errors are looked at as well: all mistakes in one go.
        var settings = loaded.settings ?? loaded.partial
        var diagnostics = loaded.diagnostics
        if loaded.settings != nil { ConnectionBudget.clamp(&settings, into: &diagnostics) }
        var tls: [TLSListener?] = []
        var authorities: [AuthorityCertificate] = []
        var lacksAuthorities = false
        for listener in settings.hot.listeners {
            guard let wanted = listener.tls else {
                tls.append(nil)
                continue
            }
            var clients: ClientAuthorities?
            if let file = wanted.clientAuthorities {
                do {
                    let read = try ClientAuthorities(file.path)
                    diagnostics += CertificateDoubts.of(read, file)
                    authorities += read.certificates
                    clients = read
                } catch {
                    diagnostics.append(Diagnostic(.error, file.location, error.description))
                    lacksAuthorities = true
                }
            }
            let found = wanted.certificates.compactMap { certificates.load($0, into: &diagnostics) }
            guard !found.isEmpty, found.count == wanted.certificates.count else {
                tls.append(nil)
                continue
            }
            do {
                let made = try TLSListener(
                    certificates: found, protocols: listener.protocols,
                    minVersion: wanted.minVersion == .v1_3 ? 0x0304 : 0x0303, clientAuthorities: clients)
                diagnostics += CertificateDoubts.of(found, wanted.certificates, of: made)
                tls.append(made)
            } catch {
                diagnostics.append(Diagnostic(.error, listener.location, error.description))
                tls.append(nil)
            }
        }
        let upstreamTLS = settings.hot.upstreams.map {
            let tls = upstreams.load($0, certificates: certificates, into: &diagnostics)
            diagnostics += CertificateDoubts.of(tls, $0)
            return tls
        }
        let deciding = settings.hot.tenants.lazy.flatMap(\.routes).first { $0.decision?.address.isSecure == true }
        let serverAuthorities = deciding.flatMap { upstreams.system(for: $0.location, into: &diagnostics) }
        // Half of them would tell nothing.
        let subjects = lacksAuthorities ? nil : SubjectAuthorities(settings, known: authorities, into: &diagnostics)
        let issuers = settings.hot.issuers.compactMap { keySets.issuer($0, into: &diagnostics) }
        diagnostics += judge(settings, tls, loaded, strict: isCheck)
        if isCheck { diagnostics += TakenPorts.faults(in: settings) }
        let failed = diagnostics.contains { $0.severity == .error }
        return Candidate(
            loaded: loaded, settings: failed ? nil : settings, tls: tls, upstreamTLS: upstreamTLS, issuers: issuers,
            authorities: subjects?.ids ?? [:], serverAuthorities: serverAuthorities, diagnostics: diagnostics)
    }

    /// As `FILE:LINE:COLUMN: error: ...`, with the line shown.
    func render(_ diagnostics: [Diagnostic]) -> [String] { diagnostics.map { loaded.render($0) } }
}

extension Diagnostic {
    init(_ severity: Severity, _ location: Location, _ message: String) {
        self.init(severity, at: location, message)
    }
}
