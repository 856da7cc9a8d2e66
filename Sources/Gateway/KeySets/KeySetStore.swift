import Base
import Configuration
import Crypto
import Synchronization
import Tenancy

/// The key sets of all issuers, over reloads: a set that comes from a URL is fetched once, not at each reload.
final class KeySetStore: Sendable {
    /// What tells one fetched set from another: keys are read for certain algorithms.
    struct Key: Hashable, Sendable {
        var url: String
        var algorithms: [String]
    }

    private let remote = Mutex<[Key: KeySource]>([:])
    private let wanted: @Sendable (KeySource) -> Void

    /// - Parameter wanted: called on a loop's thread when a token names a key that is not there.
    init(wanted: @escaping @Sendable (KeySource) -> Void = { _ in }) { self.wanted = wanted }

    /// Lets the sets go that a configuration in force does not name.
    func keep(only issuers: [IssuerSettings]) {
        let named = Set(issuers.compactMap(Self.key))
        remote.withLock { $0 = $0.filter { named.contains($0.key) } }
    }

    /// nil for keys that come from no URL.
    private static func key(_ settings: IssuerSettings) -> Key? {
        guard case .url(let url) = settings.keys else { return nil }
        return Key(url: url, algorithms: settings.algorithms.sorted())
    }

    /// An issuer with its keys; nil after an error, which is added to the diagnostics.
    func issuer(_ settings: IssuerSettings, into diagnostics: inout [Diagnostic]) -> TokenIssuer? {
        let algorithms = settings.signatureAlgorithms
        func fail(_ text: String) -> TokenIssuer? {
            diagnostics.append(Diagnostic(.error, settings.keysLocation, text))
            return nil
        }
        switch settings.keys {
        case .secret(let secret):
            guard let keys = try? KeySet(secret: Array(secret.utf8), algorithms: algorithms) else {
                return fail("the secret is too short")
            }
            return TokenIssuer(settings, keys: KeySource(keys))
        // What is wrong with the place of the keys has been said.
        case .file(""): return nil
        case .file(let path):
            let json: [UInt8]
            switch ConfigurationSource.disk.read(path) {
            case .success(let bytes): json = bytes
            case .failure(let error): return fail("the key set \(path) can't be read: \(error)")
            }
            do throws(KeySet.Fault) {
                let keys = try KeySet(json: json, algorithms: algorithms)
                if let lack = keys.lack { return fail("\(path): \(lack)") }
                for reason in keys.skipped {
                    diagnostics.append(
                        Diagnostic(.warning, settings.keysLocation, "not used of the key set \(path): \(reason)"))
                }
                return TokenIssuer(settings, keys: KeySource(keys))
            } catch {
                return fail("\(path): \(error)")
            }
        case .url(let url):
            guard let key = Self.key(settings) else { return nil }
            let wanted = wanted
            let source = remote.withLock { sources in
                if let known = sources[key] { return known }
                let made = KeySource(.empty, url: url, wanted: wanted)
                sources[key] = made
                return made
            }
            return TokenIssuer(settings, keys: source)
        }
    }
}
