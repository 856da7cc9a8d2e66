import Base
import HTTP

extension HTTPClient.Request {
    /// As it goes over the wire (RFC 9112 sections 2 and 3), with its body where that is known.
    func wire() throws(ClientFailure) -> [UInt8] {
        guard !method.isEmpty, method.utf8.allSatisfy(ASCII.isToken), method != "CONNECT", !target.isEmpty,
            target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else { throw .notRequest }
        var text = "\(method) \(target) HTTP/1.1\r\n"
        func add(_ name: String, _ value: String) throws(ClientFailure) {
            // A line end in a value would be a field, or a request, of somebody else's making.
            guard !name.isEmpty, name.utf8.allSatisfy(ASCII.isToken),
                value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == ASCII.tab })
            else { throw .notRequest }
            text += "\(name): \(value)\r\n"
        }
        try add("Host", authority)
        try add("User-Agent", userAgent)
        if !keepsConnection { try add("Connection", "close") }
        var content: [UInt8] = []
        switch body {
        case .none: if method != "GET", method != "HEAD" { try add("Content-Length", "0") }
        case .bytes(let bytes):
            try add("Content-Length", "\(bytes.count)")
            content = bytes
        case .parts: try add("Transfer-Encoding", "chunked")
        }
        for field in fields { try add(field.name, field.value) }
        return Array((text + "\r\n").utf8) + content
    }

    /// One piece of a body in the chunked coding; without bytes, its end.
    static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        let size = ChunkWriter.front + bytes.count + ChunkWriter.behind(trailers: 0)
        // In front of the piece and behind it stands free what the framing may take.
        return unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { room in
            let data = unsafe UnsafeMutableRawBufferPointer(rebasing: room[ChunkWriter.front...].prefix(bytes.count))
            unsafe data.copyBytes(from: bytes)
            return unsafe Array(ChunkWriter.wrap(data, isLast: bytes.isEmpty))
        }
    }
}
