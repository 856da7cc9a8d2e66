import Base

/// What a proxy says at the beginning of a connection about whose it is (The PROXY protocol, versions 1 and 2, of HAProxy's
/// `proxy-protocol.txt`). Pure: bytes in, a value out, and back.
public struct ProxyHeader: Sendable, Equatable {
    public enum Version: Sendable { case v1, v2 }

    /// The two ends of the client's connection, as the proxy saw them.
    public struct Ends: Sendable, Equatable {
        public var source: SocketAddress
        public var destination: SocketAddress
        public init(source: SocketAddress, destination: SocketAddress) {
            (self.source, self.destination) = (source, destination)
        }
    }

    public enum Outcome: Sendable, Equatable {
        /// So far it may become one.
        case incomplete
        case malformed
        /// It is so many bytes long, some of which may not be there yet: nothing in them counts.
        case complete(ProxyHeader, length: Int)
    }

    /// Nil where the proxy speaks for itself, or does not know: LOCAL and UNKNOWN.
    public var ends: Ends?

    public init(ends: Ends?) { self.ends = ends }

    /// No more bytes than these are looked at: of version 1 a whole header, of version 2 all that is not skipped.
    public static let lookMax = 107

    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let fixedSize = 16
}

// MARK: Reading

extension ProxyHeader {
    /// - Parameter bytes: the first of a connection.
    public static func parse(_ bytes: [UInt8]) -> Outcome {
        let isSecond = zip(bytes, signature).allSatisfy { $0 == $1 }
        if bytes.isEmpty || (isSecond && bytes.count < signature.count) { return .incomplete }
        return isSecond ? parseSecond(bytes) : parseFirst(bytes)
    }

    private static func parseSecond(_ bytes: [UInt8]) -> Outcome {
        // Version and command are known to be wrong before the rest has come.
        if bytes.count > 12, bytes[12] != 0x20, bytes[12] != 0x21 { return .malformed }
        guard bytes.count >= fixedSize else { return .incomplete }
        let count = Int(bytes[14]) << 8 | Int(bytes[15])
        let length = fixedSize + count
        // LOCAL: whatever stands there is skipped. So is what has no address that we know of: UNSPEC, and a UNIX socket's.
        if bytes[12] == 0x20 || bytes[13] == 0x00 || bytes[13] == 0x31 { return .complete(ProxyHeader(ends: nil), length: length) }
        let size: Int
        switch bytes[13] {
        case 0x11: size = 4
        case 0x21: size = 16
        // Anything else is no stream.
        default: return .malformed
        }
        if count < 2 * size + 4 { return .malformed }
        guard bytes.count >= fixedSize + 2 * size + 4 else { return .incomplete }
        func number(_ at: Int, _ size: Int) -> UInt64 { bytes[at..<at + size].reduce(0) { $0 << 8 | UInt64($1) } }
        func address(_ at: Int, portAt: Int) -> SocketAddress {
            let port = UInt16(truncatingIfNeeded: number(portAt, 2))
            if size == 4 { return SocketAddress(high: 0, low: 0xFFFF << 32 | number(at, 4), port: port) }
            return SocketAddress(high: number(at, 8), low: number(at + 8, 8), port: port)
        }
        let ports = fixedSize + 2 * size
        let ends = Ends(source: address(fixedSize, portAt: ports), destination: address(fixedSize + size, portAt: ports + 2))
        return .complete(ProxyHeader(ends: ends), length: length)
    }

    /// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` and CRLF.
    private static func parseFirst(_ bytes: [UInt8]) -> Outcome {
        let begin = Array("PROXY ".utf8)
        if zip(bytes, begin).contains(where: { $0 != $1 }) { return .malformed }
        guard let end = bytes.prefix(lookMax).firstIndex(of: ASCII.lf) else {
            return bytes.count < lookMax ? .incomplete : .malformed
        }
        guard end > begin.count, bytes[end - 1] == ASCII.cr else { return .malformed }
        let line = bytes[begin.count..<end - 1]
        if line.contains(where: { $0 < 0x20 || $0 >= 0x7F }) { return .malformed }
        let words = line.split(separator: ASCII.space, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        if words[0] == "UNKNOWN" { return .complete(ProxyHeader(ends: nil), length: end + 1) }
        guard words.count == 5, ["TCP4", "TCP6"].contains(words[0]), let from = port(words[3]), let to = port(words[4]),
            let source = SocketAddress(words[1], port: from), let destination = SocketAddress(words[2], port: to)
        else { return .malformed }
        // An IPv4 address is written with dots, and only for TCP4.
        for word in words[1...2] where word.contains(":") != (words[0] == "TCP6") { return .malformed }
        return .complete(ProxyHeader(ends: Ends(source: source, destination: destination)), length: end + 1)
    }

    /// Digits, without zeros in front.
    private static func port(_ text: String) -> UInt16? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy(ASCII.isDigit), text == "0" || text.utf8.first != 0x30 else {
            return nil
        }
        return UInt16(text)
    }
}

// MARK: Writing

extension ProxyHeader {
    /// Where one end has IPv4 and the other IPv6, both are written as IPv6.
    public func bytes(_ version: Version) -> [UInt8] {
        switch version {
        case .v1: Array(line.utf8)
        case .v2: Self.signature + block
        }
    }

    private var line: String {
        guard let ends else { return "PROXY UNKNOWN\r\n" }
        let isIPv4 = ends.source.isIPv4 && ends.destination.isIPv4
        func text(_ address: SocketAddress) -> String { address.isIPv4 && !isIPv4 ? "::ffff:" + address.host : address.host }
        return "PROXY \(isIPv4 ? "TCP4" : "TCP6") \(text(ends.source)) \(text(ends.destination)) "
            + "\(ends.source.port) \(ends.destination.port)\r\n"
    }

    private var block: [UInt8] {
        guard let ends else { return [0x20, 0x00, 0x00, 0x00] }
        func bytes(_ number: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: number >> UInt64($0 * 8)) }
        }
        let isIPv4 = ends.source.isIPv4 && ends.destination.isIPv4
        var text: [UInt8] = [0x21, isIPv4 ? 0x11 : 0x21, 0, isIPv4 ? 12 : 36]
        for address in [ends.source, ends.destination] {
            text += isIPv4 ? bytes(address.low, 4) : bytes(address.high, 8) + bytes(address.low, 8)
        }
        return text + bytes(UInt64(ends.source.port), 2) + bytes(UInt64(ends.destination.port), 2)
    }
}
