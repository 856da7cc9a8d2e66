import Base
import COpenSSL

/// What tells that a server understands WebSocket's handshake of HTTP/1.1 (RFC 6455 section 4.1). HTTP/2 has none: towards
/// such a server the gateway shakes hands itself.
@safe public struct WebSocketKey: Sendable {
    /// 16 random bytes in base64, as `Sec-WebSocket-Key` has them.
    public let text: [UInt8]
    /// The only good `Sec-WebSocket-Accept`.
    public let accept: [UInt8]

    /// A new one.
    public init() {
        let words = [Random.word(), Random.word()]
        self.init(text: Self.base64(words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }))
    }

    /// One that somebody else has sent.
    public init(text: [UInt8]) {
        self.text = text
        let asked = text + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)
        var digest = [UInt8](repeating: 0, count: 20)
        // As many bytes as SHA-1 has.
        _ = unsafe SHA1(asked, asked.count, &digest)
        accept = Self.base64(digest)
    }

    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        // With the zero that OpenSSL writes behind it.
        var text = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
        let count = unsafe EVP_EncodeBlock(&text, bytes, Int32(bytes.count))
        return Array(text.prefix(Int(count)))
    }
}
