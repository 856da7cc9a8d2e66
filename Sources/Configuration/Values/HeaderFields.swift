import Base

/// Fields that requests and answers are changed by.
enum HeaderFields {
    /// Bytes of a value. A head must stay within what servers take, and the gateway adds fields of its own.
    static let valueMax = 4096

    /// Fields that frame a message, belong to one connection, or are the gateway's own word to the upstream.
    private static let reserved: Set<String> = [
        "connection", "transfer-encoding", "content-length", "host", "upgrade", "te", "trailer", "keep-alive",
        "proxy-connection",
    ]

    static func name(_ text: String) throws(ValueFault) -> Value {
        guard !text.isEmpty, text.utf8.count <= 256, text.utf8.allSatisfy(ASCII.isToken) else {
            throw .refused("\(quoted(text)) is not a header name")
        }
        // Many servers take `_` for `-`.
        let dashed = text.utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : ASCII.lowercase($0) }
        let folded = String(decoding: dashed, as: UTF8.self)
        if reserved.contains(folded) || folded.hasPrefix("x-tenant-") {
            throw .refused("\(quoted(text)) is set by the gateway itself")
        }
        return .text(text)
    }

    static func value(_ text: String) throws(ValueFault) -> Value {
        if text.utf8.count > valueMax { throw .refused("a header value longer than \(valueMax) bytes") }
        if text.utf8.contains(where: Texts.isControl) { throw .refused("a control character in a header value") }
        if text.utf8.first == ASCII.space || text.utf8.last == ASCII.space {
            throw .refused("a header value can't begin or end with a space")
        }
        return .text(text)
    }
}
