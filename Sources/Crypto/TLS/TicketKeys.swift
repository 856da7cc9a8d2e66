import Base
import COpenSSL
import Synchronization

/// The keys that encrypt session tickets (RFC 5077, RFC 8446 section 4.6.1), one ring for the whole process: every loop,
/// listener and configuration resumes what another one issued. A key issues for an hour and is accepted for two more;
/// a session that comes with an old key gets a new ticket.
final class TicketKeys: Sendable {
    static let shared = TicketKeys()
    static let lifetime: UInt64 = 3600 * 1_000_000_000
    /// Keys kept: the issuing one and two old ones. Sessions live as long as that (`SSL_CTX_set_timeout`).
    static let kept = 3

    struct Key: Sendable {
        var name: (UInt64, UInt64)
        var cipher: (UInt64, UInt64, UInt64, UInt64)
        var mac: (UInt64, UInt64, UInt64, UInt64)
        var born: UInt64

        init(now: UInt64) {
            let w = Random.word
            (name, cipher, mac, born) = ((w(), w()), (w(), w(), w(), w()), (w(), w(), w(), w()), now)
        }
    }

    private let ring: Mutex<[Key]>
    /// Kept for good, and a number, for pointers don't go between threads.
    private let aes = unsafe UInt(bitPattern: EVP_CIPHER_fetch(nil, "AES-256-CBC", nil))

    private init() { ring = Mutex([Key(now: Clock.monotonic())]) }

    /// The key to issue with: a new one when the last is an hour old.
    private func issuing() -> Key {
        let now = Clock.monotonic()
        return ring.withLock { ring in
            if now &- ring[0].born > Self.lifetime {
                ring.insert(Key(now: now), at: 0)
                if ring.count > Self.kept { ring.removeLast() }
            }
            return ring[0]
        }
    }

    private func named(_ name: (UInt64, UInt64)) -> (key: Key, isCurrent: Bool)? {
        let now = Clock.monotonic()
        return ring.withLock { ring in
            for (i, key) in ring.enumerated() where key.name == name && now &- key.born < UInt64(Self.kept) * Self.lifetime {
                return (key, i == 0)
            }
            return nil
        }
    }

    /// OpenSSL's ticket callback: 16 bytes of name, and 16 of `iv`. With `singleUse` (TLS 1.3, RFC 8446 appendix C.4)
    /// whoever resumes gets a new ticket.
    /// Returns 1 for done, 2 for done but issue a new ticket, 0 for no such key, -1 for failure.
    func prepare(
        name: UnsafeMutableRawPointer, iv: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer, mac: OpaquePointer,
        encrypting: Bool, singleUse: Bool
    ) -> Int32 {
        var key: Key
        var result: Int32 = 1
        if encrypting {
            key = issuing()
            guard unsafe RAND_bytes(iv, 16) == 1 else { return -1 }
            unsafe name.storeBytes(of: key.name, as: (UInt64, UInt64).self)
        } else {
            guard let found = unsafe named(name.loadUnaligned(as: (UInt64, UInt64).self)) else { return 0 }
            key = found.key
            if !found.isCurrent || singleUse { result = 2 }
        }
        let aes = unsafe OpaquePointer(bitPattern: aes)
        // 32 bytes of key for AES-256, as many for the MAC: both are copied.
        let initialised = unsafe withUnsafeBytes(of: &key.cipher) { secret in
            let bytes = unsafe secret.baseAddress!.assumingMemoryBound(to: UInt8.self)
            return unsafe encrypting
                ? EVP_EncryptInit_ex(cipher, aes, nil, bytes, iv) : EVP_DecryptInit_ex(cipher, aes, nil, bytes, iv)
        }
        guard initialised == 1 else { return -1 }
        let keyed = unsafe withUnsafeBytes(of: &key.mac) { secret in
            unsafe c_mac_set_sha256_key(mac, secret.baseAddress!.assumingMemoryBound(to: UInt8.self), secret.count)
        }
        return keyed == 1 ? result : -1
    }
}
