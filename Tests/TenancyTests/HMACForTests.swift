import Crypto

/// RFC 2104 over the module's own SHA-256.
enum HMACForTests {
    static func sign(_ text: String, _ secret: String) -> [UInt8] {
        let key = Array(secret.utf8) + Array(repeating: 0, count: 64 - secret.utf8.count)
        let inner = SHA256.digest(key.map { $0 ^ 0x36 } + Array(text.utf8)).bytes
        return SHA256.digest(key.map { $0 ^ 0x5C } + inner).bytes
    }
}
