import Base

/// The value of an `Upgrade` field (RFC 9110 section 7.8): `protocol-name [ "/" protocol-version ]`, one or several. Every
/// index is compared with the value's length first.
public enum Upgrade {
    /// Well-formed, and without a protocol that would carry further requests past the gateway's eyes: HTTP in any
    /// version and TLS under it.
    static func isWanted(_ value: UnsafeRawBufferPointer) -> Bool {
        var all = true
        unsafe forEachElement(of: value) { if unsafe !isProtocol($0) || carriesRequests($0) { all = false } }
        return all
    }

    /// Whether all protocols of `answer`, of which there is at least one, stand in `request`, the value of the client's field.
    /// Names compare without case; a version on one side only does not matter.
    public static func names(_ answer: UnsafeRawBufferPointer, outOf request: UnsafeRawBufferPointer) -> Bool {
        var all = true
        unsafe forEachElement(of: answer) { chosen in
            var isAmong = false
            unsafe forEachElement(of: request) { if unsafe isSame(chosen, $0) { isAmong = true } }
            if unsafe !isProtocol(chosen) || !isAmong { all = false }
        }
        return all
    }

    private static func forEachElement(of value: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        var at = 0
        while at <= value.count {
            var end = at
            while end < value.count, unsafe value[end] != 0x2C { end += 1 }
            unsafe body(trimmed(UnsafeRawBufferPointer(rebasing: value[at..<end])))
            at = end + 1
        }
    }

    private static func isSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        let (a, b) = unsafe (split(one), split(other))
        guard unsafe a.name.equalsIgnoringCase(b.name) else { return false }
        return unsafe a.version.isEmpty || b.version.isEmpty || a.version.equalsIgnoringCase(b.version)
    }

    /// The version with its slash.
    private static func split(_ element: UnsafeRawBufferPointer) -> (name: UnsafeRawBufferPointer, version: UnsafeRawBufferPointer) {
        let end = unsafe element.firstIndex(of: 0x2F) ?? element.count
        return unsafe (UnsafeRawBufferPointer(rebasing: element[..<end]), UnsafeRawBufferPointer(rebasing: element[end...]))
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
        let name = unsafe split(element).name
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
