import COpenSSL
import Foundation
import Testing

@testable import Crypto

/// Whatever fails gives back what it had made: who sends the gateway bad keys must not fill its memory.
@Suite(.serialized) struct LeakTests {
    /// Bytes of resident memory.
    private static func resident() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 4096 } ?? 0
    }

    /// A leak grows in every round; the other tests of this process don't.
    private func expectNoLeak(_ times: Int, of size: Int, _ failing: () -> Void) {
        // What was freed is held back under a sanitizer, and counts.
        if ProcessInfo.processInfo.environment["ASAN_OPTIONS"] != nil { return }
        for _ in 0..<times / 4 { failing() }
        var least = Int.max
        for _ in 0..<20 where least > times * size / 2 {
            let before = Self.resident()
            for _ in 0..<times { failing() }
            least = min(least, Self.resident() - before)
        }
        #expect(least <= times * size / 2, "\(least / times) bytes each time")
    }

    /// OpenSSL of today takes no point that is not on its curve, so it is a modulus of four bits that fails the check.
    @Test("a key that fails its check")
    func unsound() {
        guard let key = Owned(c_rsa_public_key([15], 1, [3], 1), EVP_PKEY_free) else {
            Issue.record("no key")
            return
        }
        expectNoLeak(4000, of: 200) { if VerificationKey.isSound(key) { Issue.record("a sound key") } }
    }

    @Test("other key material that is no key")
    func keys() {
        expectNoLeak(4000, of: 400) {
            _ = try? VerificationKey.ecdsa(.p256, x: SignatureTests.y, y: SignatureTests.x)
            _ = try? VerificationKey.ecdsa(.p256, x: Array(repeating: 255, count: 32), y: Array(repeating: 255, count: 32))
            _ = try? VerificationKey.ed25519([1])
            _ = try? VerificationKey.rsa(modulus: [1], exponent: [3], algorithm: nil)
        }
    }

    @Test("certificates and authorities that can't be read, or don't belong together")
    func files() throws {
        let folder = NSTemporaryDirectory() + "leak-tests-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["a", "b"] {
            try DevelopmentCertificate.write(names: [name], chain: "\(folder)/\(name).crt", key: "\(folder)/\(name).key")
        }
        let certificate = try Certificate(chain: "\(folder)/a.crt", key: "\(folder)/a.key")
        expectNoLeak(200, of: 8 << 10) {
            #expect(throws: Certificate.Fault.self) { try Certificate(chain: "\(folder)/a.crt", key: "\(folder)/b.key") }
            #expect(throws: Certificate.Fault.self) { try Certificate(chain: "\(folder)/a.key", key: "\(folder)/a.key") }
            #expect(throws: OpenSSLError.self) { try ClientAuthorities("\(folder)/a.key") }
            #expect(throws: OpenSSLError.self) { try AuthorityCertificate.read("\(folder)/a.key") }
            for authority in (try? ClientAuthorities("\(folder)/a.crt"))?.certificates ?? [] where !authority.issued(authority) {
                Issue.record("who signed itself did not")
            }
            #expect(throws: OpenSSLError.self) { try TLSListener(certificates: [], protocols: [], minVersion: 0x0303) }
            _ = try? TLSListener(certificates: [certificate], protocols: [], minVersion: 0x0303)
        }
    }

    @Test("authorities that can't be read, a name that is none, a handshake that fails")
    func client() throws {
        let folder = NSTemporaryDirectory() + "leak-tests-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try DevelopmentCertificate.write(names: ["a"], chain: "\(folder)/a.crt", key: "\(folder)/a.key")
        let authorities = try ServerAuthorities(file: "\(folder)/a.crt")
        let noise: [UInt8] = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        expectNoLeak(200, of: 8 << 10) {
            #expect(throws: OpenSSLError.self) { try ServerAuthorities(file: "\(folder)/a.key") }
            #expect(throws: OpenSSLError.self) { try TLSClient(authorities, host: "no address", isAddress: true) }
            #expect(throws: OpenSSLError.self) {
                let client = try TLSClient(authorities, host: "localhost", isAddress: false)
                #expect(try !client.shakeHands() && !client.takeOutput().isEmpty)
                try noise.withUnsafeBytes { try client.receive($0) }
                _ = try client.shakeHands()
            }
        }
    }
}
