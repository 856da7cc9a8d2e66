import Base

/// One request as the access log tells it. The texts are ranges of memory that others own: valid while the line is
/// being written. An absent one is written as null.
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
    /// What went wrong on purpose.
    public var fault: StaticString?
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
    /// Of a call of gRPC.
    public var grpcStatus: UInt16?
    /// `TLSv1.3`.
    public var tls: UnsafeRawBufferPointer?
    /// Lower-case hexadecimal.
    public var traceID: UnsafeRawBufferPointer?

    /// Longer texts are cut there and end in U+2026: one line may not fill the log's buffer.
    static let pathMax = 4096
    static let textMax = 256
    /// Names, numbers, the time, quotes, and the marks of cut texts.
    static let fixedSize = 1024
    /// Room in which any line fits.
    public static let sizeMax = JSONText.room(for: pathMax) + 10 * JSONText.room(for: textMax) + fixedSize

    public init(time: UInt64) { self.time = time }

    /// Room in which this line fits, whatever must be escaped in it.
    var room: Int {
        func bound(_ text: UnsafeRawBufferPointer?, _ max: Int) -> Int { min(text?.count ?? 0, max) }
        let texts = bound(requestID, Self.textMax) &+ bound(tenant, Self.textMax) &+ bound(key, Self.textMax)
            &+ bound(client, Self.textMax) &+ bound(method, Self.textMax) &+ bound(host, Self.textMax)
            &+ bound(path, Self.pathMax) &+ bound(`protocol`, Self.textMax) &+ bound(upstream, Self.textMax)
            &+ bound(tls, Self.textMax) &+ bound(traceID, Self.textMax)
        return JSONText.room(for: texts) &+ Self.fixedSize
    }
}

extension ByteWriter {
    /// Appends one line, newline included. Where the room would not do for the longest form that the line could take,
    /// appends nothing and is false: with `AccessLogLine.sizeMax` left, any line is taken.
    public mutating func append(accessLog line: AccessLogLine) -> Bool {
        guard !overflowed, spare.count >= line.room else { return false }
        append("{\"time\":\"")
        append(rfc3339: line.time)
        var cursor = LineCursor(at: base + count)
        cursor.write("\",\"request_id\":")
        cursor.write(line.requestID)
        cursor.write(",\"tenant\":")
        cursor.write(line.tenant)
        cursor.write(",\"key\":")
        cursor.write(line.key)
        cursor.write(",\"client\":")
        cursor.write(line.client)
        cursor.write(",\"method\":")
        cursor.write(line.method)
        cursor.write(",\"host\":")
        cursor.write(line.host)
        cursor.write(",\"path\":")
        cursor.write(line.path, max: AccessLogLine.pathMax)
        cursor.write(",\"protocol\":")
        cursor.write(line.protocol)
        cursor.write(",\"status\":")
        if line.status > 0 { cursor.write(UInt64(line.status)) } else { cursor.write("null") }
        if let status = line.grpcStatus {
            cursor.write(",\"grpc_status\":")
            cursor.write(UInt64(status))
        }
        cursor.write(",\"refused\":")
        if let refused = line.refused {
            cursor.write("\"")
            cursor.write(refused.name)
            cursor.write("\"")
        } else {
            cursor.write("null")
        }
        if let fault = line.fault {
            cursor.write(",\"fault\":\"")
            cursor.write(fault)
            cursor.write("\"")
        }
        cursor.write(",\"request_bytes\":")
        cursor.write(line.requestBytes)
        cursor.write(",\"response_bytes\":")
        cursor.write(line.responseBytes)
        cursor.write(",\"duration_ms\":")
        cursor.write(milliseconds: line.duration)
        cursor.write(",\"upstream\":")
        cursor.write(line.upstream)
        cursor.write(",\"upstream_ms\":")
        if let duration = line.upstreamDuration { cursor.write(milliseconds: duration) } else { cursor.write("null") }
        cursor.write(",\"attempts\":")
        cursor.write(UInt64(truncatingIfNeeded: max(0, line.attempts)))
        cursor.write(",\"tls\":")
        cursor.write(line.tls)
        cursor.write(",\"trace_id\":")
        cursor.write(line.traceID)
        cursor.write("}\n")
        produced(cursor.at - (base + count))
        return true
    }
}

/// Writes into room that was measured before: nothing here checks again, and nothing goes through memory but the text.
private struct LineCursor {
    private(set) var at: UnsafeMutableRawPointer

    init(at: UnsafeMutableRawPointer) { self.at = at }

    @inline(__always)
    mutating func write(_ text: StaticString) {
        at.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        at += text.utf8CodeUnitCount
    }

    @inline(__always)
    private mutating func write(byte: UInt8) {
        at.storeBytes(of: byte, as: UInt8.self)
        at += 1
    }

    mutating func write(_ text: UnsafeRawBufferPointer?, max: Int = AccessLogLine.textMax) {
        guard var text else { return write("null") }
        let isCut = text.count > max
        if isCut {
            // Not in the middle of a character.
            var end = max
            while end > max - 3, text[end] & 0xC0 == 0x80 { end -= 1 }
            text = UnsafeRawBufferPointer(rebasing: text[..<end])
        }
        write(byte: 0x22)
        at = JSONText.write(text, to: at)
        if isCut { write("\u{2026}") }
        write(byte: 0x22)
    }

    mutating func write(_ value: UInt64) {
        if value < 10 { return write(byte: 0x30 + UInt8(truncatingIfNeeded: value)) }
        var digits = 2
        var power: UInt64 = 100
        // 10^19 is the last that fits.
        while digits < 20, value >= power {
            digits &+= 1
            power = power &* 10
        }
        var (rest, place) = (value, digits)
        repeat {
            place &-= 1
            at.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: rest % 10), toByteOffset: place, as: UInt8.self)
            rest /= 10
        } while rest > 0
        at += digits
    }

    /// Milliseconds with three decimals, cut and not rounded.
    mutating func write(milliseconds nanoseconds: UInt64) {
        let microseconds = nanoseconds / 1000
        write(microseconds / 1000)
        let rest = UInt32(truncatingIfNeeded: microseconds % 1000)
        write(byte: 0x2E)
        write(byte: 0x30 + UInt8(truncatingIfNeeded: rest / 100))
        write(byte: 0x30 + UInt8(truncatingIfNeeded: rest / 10 % 10))
        write(byte: 0x30 + UInt8(truncatingIfNeeded: rest % 10))
    }
}
