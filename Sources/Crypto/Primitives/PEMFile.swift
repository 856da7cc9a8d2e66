import Base
import Glibc

/// What a file holds in PEM, looked at before OpenSSL is: it says what is wrong with it in numbers, and asks a terminal for
/// the passphrase of a key.
enum PEMFile {
    enum Wanted { case certificate, key }

    /// No chain and no key is that long.
    private static let sizeMax = 4 << 20

    /// Why the file can't be what is wanted, in words; nil where it may be.
    static func fault(_ path: String, wanted: Wanted) -> String? {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return "can't read \(path): \(unsafe String(cString: strerror(errno)))" }
        defer { close(fd) }
        var status = stat()
        if unsafe fstat(fd, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return "\(path) is a folder" }
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= sizeMax {
            let count = unsafe read(fd, &room, room.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return "can't read \(path): \(unsafe String(cString: strerror(errno)))" }
            if count == 0 { break }
            bytes += room[..<count]
        }
        return fault(String(decoding: bytes, as: UTF8.self), path, wanted)
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
