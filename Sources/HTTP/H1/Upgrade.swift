import Base

/// The value of an `Upgrade` field (RFC 9110 section 7.8): `protocol-name [ "/" protocol-version ]`, one or several. Every
/// index is compared with the value's length first.
enum Upgrade {
    /// Well-formed, and without a protocol that would carry further requests past the gateway's eyes: HTTP in any
    /// version and TLS under it.
    static func isWanted(_ value: UnsafeRawBufferPointer) -> Bool {
        var at = 0
        var count = 0
        while at <= value.count {
            var end = at
            while end < value.count, unsafe value[end] != 0x2C { end += 1 }
            let element = unsafe trimmed(UnsafeRawBufferPointer(rebasing: value[at..<end]))
            guard unsafe isProtocol(element), unsafe !carriesRequests(element) else { return false }
            count += 1
            at = end + 1
        }
        return count > 0
    }

    private static func isProtocol(_ element: UnsafeRawBufferPointer) -> Bool {
        var slashes = 0
        for i in 0..<element.count where unsafe !ASCII.isToken(element[i]) {
            guard unsafe element[i] == 0x2F, i > 0, i + 1 < element.count else { return false }
            slashes += 1
        }
        return element.count > 0 && slashes <= 1
    }

    private static func carriesRequests(_ element: UnsafeRawBufferPointer) -> Bool {
        let nameEnd = unsafe element.firstIndex(of: 0x2F) ?? element.count
        let name = unsafe UnsafeRawBufferPointer(rebasing: element[..<nameEnd])
        return unsafe ASCII.equalsIgnoringCase(name, "http") || ASCII.equalsIgnoringCase(name, "tls")
            || ASCII.equalsIgnoringCase(name, "h2c") || ASCII.equalsIgnoringCase(name, "h2")
    }

    private static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var (first, end) = (0, bytes.count)
        while first < end, unsafe bytes[first] == ASCII.space || bytes[first] == ASCII.tab { first += 1 }
        while end > first, unsafe bytes[end - 1] == ASCII.space || bytes[end - 1] == ASCII.tab { end -= 1 }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[first..<end])
    }
}
