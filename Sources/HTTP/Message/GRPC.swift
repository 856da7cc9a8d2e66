import Base

/// What the gateway knows of gRPC (its "HTTP2 protocol" document): requests and answers of HTTP/2 whose outcome stands in a
/// field behind the body.
public enum GRPC {
    /// `application/grpc`, alone or followed by `+` or `;`.
    public static func isContentType(_ value: UnsafeRawBufferPointer) -> Bool {
        let name: StaticString = "application/grpc"
        guard value.count >= name.utf8CodeUnitCount,
            unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: value[..<name.utf8CodeUnitCount]), name)
        else { return false }
        if value.count == name.utf8CodeUnitCount { return true }
        let next = unsafe value[name.utf8CodeUnitCount]
        return next == 0x2B || next == 0x3B
    }

    /// The status that stands for one of HTTP.
    public static func status(http status: UInt16) -> UInt16 {
        switch status {
        case 400: 13
        case 401: 16
        case 403: 7
        case 404, 421, 501: 12
        case 408, 504: 4
        case 413, 429, 431: 8
        case 499: 1
        case 502, 503: 14
        default: 2
        }
    }

    /// `grpc-status` among field lines, each with its CRLF; nil where there is none, or no number.
    public static func status(in lines: UnsafeRawBufferPointer) -> UInt16? {
        let name: StaticString = "grpc-status:"
        for unsafe line in unsafe lines.split(separator: ASCII.lf) where unsafe line.count > name.utf8CodeUnitCount {
            let line = unsafe UnsafeRawBufferPointer(rebasing: line)
            guard unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: line[..<name.utf8CodeUnitCount]), name) else { continue }
            let value = unsafe line[name.utf8CodeUnitCount...].prefix { $0 != ASCII.cr }
            return unsafe number(UnsafeRawBufferPointer(rebasing: value).trimmed)
        }
        return nil
    }

    /// The value of a `grpc-status` field; nil where it is none that can be counted.
    public static func number(_ value: UnsafeRawBufferPointer) -> UInt16? {
        guard (1...3).contains(value.count), let number = unsafe ASCII.decimal(value) else { return nil }
        return UInt16(number)
    }

    /// The value of `grpc-timeout` in nanoseconds; nil where it is malformed: up to eight digits and a unit.
    public static func timeout(_ value: UnsafeRawBufferPointer) -> UInt64? {
        guard (2...9).contains(value.count),
            let number = unsafe ASCII.decimal(UnsafeRawBufferPointer(rebasing: value[..<(value.count - 1)]))
        else { return nil }
        let unit: UInt64
        switch unsafe value[value.count - 1] {
        case UInt8(ascii: "H"): unit = 3_600_000_000_000
        case UInt8(ascii: "M"): unit = 60_000_000_000
        case UInt8(ascii: "S"): unit = 1_000_000_000
        case UInt8(ascii: "m"): unit = 1_000_000
        case UInt8(ascii: "u"): unit = 1000
        case UInt8(ascii: "n"): unit = 1
        default: return nil
        }
        // 99,999,999 hours are longer than anything here lasts.
        return min(UInt64(number), UInt64(1) << 62 / unit) * unit
    }
}

/// The messages of a body: each with a flag and its length in front of it.
public struct GRPCMessages: Sendable {
    /// Bytes of the length in front of a message that have come, and the length so far.
    private var prefix = 0
    private var length: UInt64 = 0
    /// Bytes of the present message that are to come.
    private var left: UInt64 = 0

    public init() {}

    /// The next bytes of the body. False when a message is longer than allowed.
    public mutating func take(_ bytes: UnsafeRawBufferPointer, most: UInt64) -> Bool {
        var at = 0
        while at < bytes.count {
            if left > 0 {
                let count = min(left, UInt64(bytes.count - at))
                (left, at) = (left - count, at + Int(count))
                continue
            }
            unsafe length = prefix == 0 ? 0 : length << 8 | UInt64(bytes[at])
            (prefix, at) = (prefix + 1, at + 1)
            if prefix < 5 { continue }
            (prefix, left) = (0, length)
            if length > most { return false }
        }
        return true
    }
}
