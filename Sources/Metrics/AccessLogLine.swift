import Base

/// One request as the access log tells it. The texts are ranges of memory that others own: valid while the line is being
/// written. An absent one is written as null.
public struct AccessLogLine {
    /// Wall time in nanoseconds at which the request began.
    public var time: UInt64
    public var requestID: UnsafeRawBufferPointer?
    public var tenant: UnsafeRawBufferPointer?
    /// The key's name, never the key.
    public var key: UnsafeRawBufferPointer?
    public var client: UnsafeRawBufferPointer?
    public var method: UnsafeRawBufferPointer?
    public var host: UnsafeRawBufferPointer?
    /// With the query only where the configuration asks for it.
    public var path: UnsafeRawBufferPointer?
    /// `HTTP/1.1`.
    public var `protocol`: UnsafeRawBufferPointer?
    /// 0 where none was sent; written as null.
    public var status = 0
    public var refused: Refusal?
    public var requestBytes: UInt64 = 0
    public var responseBytes: UInt64 = 0
    /// Nanoseconds.
    public var duration: UInt64 = 0
    /// The server that answered.
    public var upstream: UnsafeRawBufferPointer?
    /// Nanoseconds.
    public var upstreamDuration: UInt64?
    /// How often the request was sent to an upstream.
    public var attempts = 0
    /// `TLSv1.3`.
    public var tls: UnsafeRawBufferPointer?
    /// Lower-case hexadecimal.
    public var traceID: UnsafeRawBufferPointer?

    /// Longer texts are cut there and end in U+2026: one line may not fill the log's buffer.
    static let pathMax = 4096
    static let textMax = 256
    /// Room in which any line fits: the longest escape is six bytes for one.
    public static let sizeMax = 6 * (pathMax + 10 * textMax) + 1024

    public init(time: UInt64) { self.time = time }
}

extension ByteWriter {
    /// Appends one line, newline included, or nothing where it does not fit; then false.
    public mutating func append(accessLog line: AccessLogLine) -> Bool {
        if overflowed { return false }
        let start = count
        append("{\"time\":\"")
        append(rfc3339: line.time)
        append("\",\"request_id\":")
        append(text: line.requestID)
        append(",\"tenant\":")
        append(text: line.tenant)
        append(",\"key\":")
        append(text: line.key)
        append(",\"client\":")
        append(text: line.client)
        append(",\"method\":")
        append(text: line.method)
        append(",\"host\":")
        append(text: line.host)
        append(",\"path\":")
        append(text: line.path, max: AccessLogLine.pathMax)
        append(",\"protocol\":")
        append(text: line.protocol)
        append(",\"status\":")
        if line.status > 0 { append(decimal: UInt64(line.status)) } else { append("null") }
        append(",\"refused\":")
        if let refused = line.refused {
            append(byte: 0x22)
            append(refused.name)
            append(byte: 0x22)
        } else {
            append("null")
        }
        append(",\"request_bytes\":")
        append(decimal: line.requestBytes)
        append(",\"response_bytes\":")
        append(decimal: line.responseBytes)
        append(",\"duration_ms\":")
        append(milliseconds: line.duration)
        append(",\"upstream\":")
        append(text: line.upstream)
        append(",\"upstream_ms\":")
        if let duration = line.upstreamDuration { append(milliseconds: duration) } else { append("null") }
        append(",\"attempts\":")
        append(decimal: line.attempts)
        append(",\"tls\":")
        append(text: line.tls)
        append(",\"trace_id\":")
        append(text: line.traceID)
        append("}\n")
        if overflowed { truncate(to: start) }
        return count > start
    }

    private mutating func append(text: UnsafeRawBufferPointer?, max: Int = AccessLogLine.textMax) {
        guard let text else { return append("null") }
        if text.count <= max { return append(jsonString: text) }
        // Not in the middle of a character.
        var end = max
        while end > max - 3, text[end] & 0xC0 == 0x80 { end -= 1 }
        append(byte: 0x22)
        append(jsonText: UnsafeRawBufferPointer(rebasing: text[..<end]))
        append("\u{2026}\"")
    }

    /// Milliseconds with three decimals, cut and not rounded.
    private mutating func append(milliseconds nanoseconds: UInt64) {
        let microseconds = nanoseconds / 1000
        append(decimal: microseconds / 1000)
        let rest = UInt32(truncatingIfNeeded: microseconds % 1000)
        append(byte: 0x2E)
        append(byte: 0x30 + UInt8(truncatingIfNeeded: rest / 100))
        append(byte: 0x30 + UInt8(truncatingIfNeeded: rest / 10 % 10))
        append(byte: 0x30 + UInt8(truncatingIfNeeded: rest % 10))
    }
}
