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

        init(_ w: [UInt64]) {
            (name, cipher) = ((w[0], w[1]), (w[2], w[3], w[4], w[5]))
            (mac, born) = ((w[6], w[7], w[8], w[9]), w[10])
        }
    }

    private let ring: Mutex<[Key]>
    /// Words of a key that is handed over.
    private static let words = 11
    /// Kept for good, and a number, for pointers don't go between threads.
    private let aes = unsafe UInt(bitPattern: EVP_CIPHER_fetch(nil, "AES-256-CBC", nil))

    private init() { ring = Mutex([Key(now: Clock.monotonic())]) }

    /// The ring for another process of this boot, which resumes by it what this one has issued. Secret.
    var handedOver: [UInt64] {
        ring.withLock { ring in
            ring.flatMap { key in
                let (name, c, m) = (key.name, key.cipher, key.mac)
                return [name.0, name.1, c.0, c.1, c.2, c.3, m.0, m.1, m.2, m.3, key.born]
            }
        }
    }

    /// Goes on with another process's ring. False where it is none.
    func adopt(_ words: [UInt64]) -> Bool {
        guard !words.isEmpty, words.count % Self.words == 0, words.count / Self.words <= Self.kept else { return false }
        let keys = stride(from: 0, to: words.count, by: Self.words).map { Key(Array(words[$0..<$0 + Self.words])) }
        ring.withLock { $0 = keys }
        return true
    }

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

/// What a process hands to the one that takes over from it, so that its clients' sessions go on there.
public enum SessionTickets {
    /// The keys of tickets that were issued. Whoever has them can read and forge sessions: they go by no file and no
    /// environment.
    public static var handedOver: [UInt64] { TicketKeys.shared.handedOver }

    /// Goes on with the keys of another process of this boot. False where they are none.
    public static func adopt(_ words: [UInt64]) -> Bool { TicketKeys.shared.adopt(words) }
}
