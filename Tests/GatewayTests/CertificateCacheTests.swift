import Configuration
import Crypto
import Foundation
import Testing

@testable import Gateway

@Suite("Certificates that are kept over reloads")
struct CertificateCacheTests {
    private func settings(_ certificates: [CertificateSettings]) -> HotSettings {
        var hot = HotSettings()
        var tls = TLSSettings()
        tls.certificates = certificates
        hot.listeners = [
            ListenerSettings(
                endpoint: Endpoint(host: nil, port: 443), tls: tls, location: Location(file: 0, line: 1, column: 1))
        ]
        return hot
    }

    @Test("those that a configuration in force does not name are let go")
    func pruned() throws {
        let folder = NSTemporaryDirectory() + "cache-tests-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let place = Location(file: 0, line: 1, column: 1)
        let files = try ["a", "b"].map { name in
            let file = CertificateSettings(
                chain: "\(folder)/\(name).crt", key: "\(folder)/\(name).key", location: place, keyLocation: place)
            try DevelopmentCertificate.write(names: [name], chain: file.chain, key: file.key)
            return file
        }
        let cache = CertificateCache()
        var found: [Diagnostic] = []
        let first = files.map { cache.load($0, into: &found) }
        #expect(cache.load(files[0], into: &found) === first[0])
        cache.keep(only: settings([files[1]]))
        #expect(cache.load(files[1], into: &found) === first[1])
        let again = cache.load(files[0], into: &found)
        #expect(again != nil && again !== first[0])
        #expect(found.isEmpty)
    }
}
