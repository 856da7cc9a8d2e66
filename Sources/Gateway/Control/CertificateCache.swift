import Base
import Configuration
import Crypto
import Synchronization

/// Certificates by their files: a reload reads only those that have changed.
final class CertificateCache: Sendable {
    private struct Entry: Sendable {
        var stamp: FileStamp
        var certificate: Certificate
    }

    private let entries = Mutex<[String: Entry]>([:])

    private static func key(_ wanted: CertificateSettings) -> String {
        wanted.chain + "\n" + wanted.key + "\n" + (wanted.passphrase ?? "")
    }

    /// Lets those go that a configuration in force does not name.
    func keep(only settings: HotSettings) {
        let shown = settings.upstreams.compactMap { $0.tls?.certificate }
        let named = Set((settings.listeners.flatMap { $0.tls?.certificates ?? [] } + shown).map(Self.key))
        entries.withLock { $0 = $0.filter { named.contains($0.key) } }
    }

    func load(_ wanted: CertificateSettings, into diagnostics: inout [Diagnostic]) -> Certificate? {
        let key = Self.key(wanted)
        let stamp = FileStamp(wanted.chain, wanted.key)
        if let stamp, let entry = entries.withLock({ $0[key] }), entry.stamp == stamp { return entry.certificate }
        do {
            let certificate = try Certificate(chain: wanted.chain, key: wanted.key, passphrase: wanted.passphrase)
            if let stamp { entries.withLock { $0[key] = Entry(stamp: stamp, certificate: certificate) } }
            return certificate
        } catch {
            let location =
                switch error {
                case .chain: wanted.location
                case .key: wanted.keyLocation
                }
            diagnostics.append(Diagnostic(.error, location, error.description))
            return nil
        }
    }
}
