import Base
import HTTP

/// A head as an exchange has written it, in the loop's room for heads: a start line of HTTP/1 and fields, each with its
/// line end. The end that sends it adds what is its protocol's own: how the body is framed, whether the connection goes on.
/// It stands there until another one is written: who gives it to an end does so at once.
struct WrittenHead {
    /// Bytes of it in `Rooms.head`.
    var count: Int
    var body: BodyExtent
    /// Its last field is `Upgrade`, with the protocol to switch to.
    var isUpgrade = false
}

extension ByteWriter {
    /// The field that says how the body's end is found (RFC 9112 section 6).
    mutating func append(_ body: BodyExtent) {
        switch body {
        case .none: break
        case .length(let length):
            append("Content-Length: ")
            append(decimal: length)
            append("\r\n")
        case .unknown: append("Transfer-Encoding: chunked\r\n")
        }
    }
}
