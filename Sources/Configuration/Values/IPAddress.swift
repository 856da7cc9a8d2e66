import Base

/// A numeric address, IPv4 as IPv4-mapped IPv6. Strict: no leading zeros, no octal, no missing parts, no zone.
struct IPAddress: Equatable {
    var high: UInt64
    var low: UInt64
    var isIPv4: Bool

    init(high: UInt64, low: UInt64, isIPv4: Bool) { (self.high, self.low, self.isIPv4) = (high, low, isIPv4) }

    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count <= 45 else { return nil }
        if let v4 = Self.ipv4(bytes[...]) {
            (high, low, isIPv4) = (0, 0xFFFF_0000_0000 | UInt64(v4), true)
        } else if let words = Self.ipv6(bytes) {
            high = words[..<4].reduce(0) { $0 << 16 | UInt64($1) }
            low = words[4...].reduce(0) { $0 << 16 | UInt64($1) }
            isIPv4 = false
        } else {
            return nil
        }
    }

    private static func ipv4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy(ASCII.isDigit) else { return nil }
            if part.count > 1, part.first == UInt8(ascii: "0") { return nil }
            let octet = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 0x30) }
            guard octet <= 255 else { return nil }
            value = value << 8 | octet
        }
        return value
    }

    /// RFC 4291 section 2.2: eight groups, `::` once for one or more of zeros, the last two perhaps as IPv4.
    private static func ipv6(_ bytes: [UInt8]) -> [UInt16]? {
        let colon = UInt8(ascii: ":")
        var halves: [[UInt16]] = [[]]
        var at = 0
        if bytes.starts(with: [colon, colon]) {
            halves.append([])
            at = 2
        }
        while at < bytes.count {
            let end = bytes[at...].firstIndex(of: colon) ?? bytes.count
            let group = bytes[at..<end]
            if group.contains(UInt8(ascii: ".")) {
                guard end == bytes.count, let v4 = ipv4(group) else { return nil }
                halves[halves.count - 1] += [UInt16(v4 >> 16), UInt16(v4 & 0xFFFF)]
                break
            }
            guard (1...4).contains(group.count), group.allSatisfy({ ASCII.hexValue($0) != nil }) else { return nil }
            halves[halves.count - 1].append(group.reduce(0) { $0 << 4 | UInt16(ASCII.hexValue($1) ?? 0) })
            at = end
            guard at < bytes.count else { break }
            at += 1
            if at < bytes.count, bytes[at] == colon {
                guard halves.count == 1 else { return nil }
                halves.append([])
                at += 1
            } else if at == bytes.count {
                return nil
            }
        }
        let given = halves.reduce(0) { $0 + $1.count }
        if halves.count == 1 { return given == 8 ? halves[0] : nil }
        guard given <= 7 else { return nil }
        return halves[0] + [UInt16](repeating: 0, count: 8 - given) + halves[1]
    }

    /// Canonical text (RFC 5952): lower case, the longest run of zeros as `::`.
    var text: String {
        if isIPv4 { return [24, 16, 8, 0].map { String(low >> UInt64($0) & 0xFF) }.joined(separator: ".") }
        let groups =
            [48, 32, 16, 0].map { high >> UInt64($0) & 0xFFFF } + [48, 32, 16, 0].map { low >> UInt64($0) & 0xFFFF }
        var zeros = 0..<0
        var at = 0
        while at < 8 {
            var end = at
            while end < 8, groups[end] == 0 { end += 1 }
            if end - at > max(1, zeros.count) { zeros = at..<end }
            at = max(end, at + 1)
        }
        let hex = groups.map { String($0, radix: 16) }
        if zeros.isEmpty { return hex.joined(separator: ":") }
        return hex[..<zeros.lowerBound].joined(separator: ":") + "::" + hex[zeros.upperBound...].joined(separator: ":")
    }

    var isLoopback: Bool { isIPv4 ? low >> 24 & 0xFF == 127 : high == 0 && low == 1 }
}
