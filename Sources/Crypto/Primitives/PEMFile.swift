import Base
import COpenSSL

/// What a file holds in PEM, looked at before OpenSSL is: it says what is wrong with it in numbers, and asks a terminal for
/// the passphrase of a key.
enum PEMFile {
    enum Wanted { case certificate, key }

    /// No chain, no key and no list of authorities is that long.
    private static let sizeMax = 4 << 20

    /// Why the file can't be what is wanted, in words; nil where it may be.
    static func fault(_ path: String, wanted: Wanted) -> String? {
        let bytes: [UInt8]
        do throws(RegularFile.Fault) {
            bytes = try RegularFile.read(path, atMost: sizeMax)
        } catch { return error == .folder ? "\(path) is a folder" : "can't read \(path): \(error)" }
        return fault(String(decoding: bytes, as: UTF8.self), path, wanted)
    }

    /// Throws where no authorities can be read from it.
    static func checkAuthorities(_ path: String) throws(OpenSSLError) {
        ERR_clear_error()
        do throws(RegularFile.Fault) {
            let text = String(decoding: try RegularFile.read(path, atMost: sizeMax), as: UTF8.self)
            if text.contains("CERTIFICATE-----") { return }
        } catch { throw OpenSSLError("can't read the authorities \(path): \(error)") }
        throw OpenSSLError("can't read the authorities \(path): it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    }

    private static func fault(_ text: String, _ path: String, _ wanted: Wanted) -> String? {
        let hasKey = text.contains("PRIVATE KEY-----")
        let hasCertificate = text.contains("-----BEGIN CERTIFICATE-----") || text.contains("-----BEGIN TRUSTED CERTIFICATE-----")
        switch wanted {
        case .certificate where hasCertificate: return nil
        case .certificate where hasKey: return "\(path) is a private key: the chain stands first, then its key"
        case .certificate: return "\(path) holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        case .key where hasKey: return nil
        case .key where hasCertificate: return "\(path) is a certificate: the chain stands first, then its key"
        case .key: return "\(path) holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"
        }
    }
}
