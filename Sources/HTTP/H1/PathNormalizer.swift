import Base

/// The path as routes are compared with it, and as it goes to the upstream. Paths that the gateway and an upstream could read
/// as two different ones are refused, or a route's rules could be walked around.
///
/// What is written is never longer than what was read, and `out` has room for that; an escape is read on only where it is whole.
public enum PathNormalizer {
    /// Nothing to do: no escape, no backslash, no empty segment, no segment that starts with a dot. Asked of each request.
    public static func isNormal(_ path: UnsafeRawBufferPointer) -> Bool {
        guard let base = path.baseAddress, path.count > 0 else { return false }
        if unsafe path[0] != 0x2F { return unsafe path.count == 1 && path[0] == 0x2A }
        return unsafe WordScan.isNormalPath(base, path.count)
    }

    /// Writes the normal form of `path` (a target up to its `?`) into `out`, which must have room for as many bytes,
    /// and gives its length. Unreserved characters are decoded, the digits of other escapes are made upper case,
    /// dot segments removed (RFC 3986 section 6.2.2); empty segments stay. Nil: refuse with 400.
    public static func normalize(_ path: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer) -> Int? {
        if path.count == 1, unsafe path[0] == 0x2A, out.count >= 1 {
            unsafe out[0] = 0x2A
            return 1
        }
        guard unsafe path.first == 0x2F, out.count >= path.count, let decoded = unsafe decode(path, out) else {
            return nil
        }
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: out[..<decoded])
        guard unsafe isUnambiguous(UnsafeRawBufferPointer(bytes)) else { return nil }
        return unsafe removeDotSegments(bytes)
    }

    private static func isVisible(_ byte: UInt8) -> Bool { byte &- 0x21 < 0x5E && byte != 0x23 && byte != 0x3F }

    /// RFC 3986 section 2.3.
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E
    }

    private static func decode(_ path: UnsafeRawBufferPointer, _ out: UnsafeMutableRawBufferPointer) -> Int? {
        var read = 0
        var written = 0
        while read < path.count {
            let byte = unsafe path[read]
            guard isVisible(byte) else { return nil }
            guard byte == 0x25 else {
                unsafe out[written] = byte
                read += 1
                written += 1
                continue
            }
            guard read + 2 < path.count, let high = unsafe ASCII.hexValue(path[read + 1]),
                let low = unsafe ASCII.hexValue(path[read + 2])
            else { return nil }
            let value = high << 4 | low
            guard value != 0 else { return nil }
            if isUnreserved(value) {
                unsafe out[written] = value
                written += 1
            } else {
                unsafe out[written] = 0x25
                unsafe out[written + 1] = hexDigit(high)
                unsafe out[written + 2] = hexDigit(low)
                written += 3
            }
            read += 3
        }
        return written
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }

    /// Whether every reader sees the same dot segments: those that take `%2F`, `%5C` or `\` for a slash, those that cut
    /// a segment at its `;` (Java's path parameters), those that merge slashes and those that do not. A `..` is
    /// ambiguous as soon as readers disagree about any segment, for it removes one.
    private static func isUnambiguous(_ path: UnsafeRawBufferPointer) -> Bool {
        var disputed = false
        var hasParent = false
        var start = 1
        var startIsSlash = true
        var at = 1
        while true {
            let separator = unsafe at < path.count ? separatorLength(path, at) : 0
            if at < path.count, separator == 0 {
                at += 1
                continue
            }
            let endIsSlash = unsafe at == path.count || path[at] == 0x2F
            switch unsafe dots(path, start, at) {
            case .none: if at < path.count, unsafe at == start || isParameter(path, start) { disputed = true }
            case .withParameters: return false
            case .current: if !startIsSlash || !endIsSlash { return false }
            case .parent:
                if !startIsSlash || !endIsSlash { return false }
                hasParent = true
            }
            if at == path.count { break }
            if !endIsSlash { disputed = true }
            startIsSlash = endIsSlash
            at += separator
            start = at
        }
        return !(disputed && hasParent)
    }

    /// Whether something in a normal path is a slash to some servers and is none here.
    public static func hidesSeparators(_ path: UnsafeRawBufferPointer) -> Bool {
        for at in 0..<path.count where unsafe path[at] != 0x2F && separatorLength(path, at) > 0 { return true }
        return false
    }

    /// How long the separator at `at` is for the most lenient reader; 0 when there is none.
    static func separatorLength(_ path: UnsafeRawBufferPointer, _ at: Int) -> Int {
        switch unsafe path[at] {
        case 0x2F, 0x5C: return 1
        case 0x25:  // escapes are whole and upper case here
            let isSlash = unsafe path[at + 1] == 0x32 && path[at + 2] == 0x46
            let isBackslash = unsafe path[at + 1] == 0x35 && path[at + 2] == 0x43
            return isSlash || isBackslash ? 3 : 0
        default: return 0
        }
    }

    /// Whether a `;` stands at `at`, where a segment ends for those who know path parameters.
    static func isParameter(_ path: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        unsafe path[at] == 0x3B || (path[at] == 0x25 && path[at + 1] == 0x33 && path[at + 2] == 0x42)
    }

    private enum Dots { case none, current, parent, withParameters }

    private static func dots(_ path: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Dots {
        var at = start
        while at < end, unsafe path[at] == 0x2E { at += 1 }
        guard at > start, at - start <= 2 else { return .none }
        if at == end { return at - start == 1 ? .current : .parent }
        return unsafe isParameter(path, at) ? .withParameters : .none
    }

    /// In place; nil when a `..` climbs above the root.
    private static func removeDotSegments(_ path: UnsafeMutableRawBufferPointer) -> Int? {
        var written = 1  // the root's slash
        var start = 1
        while start <= path.count {
            var end = start
            while end < path.count, unsafe path[end] != 0x2F { end += 1 }
            let count = end - start
            if count == 2, unsafe path[start] == 0x2E, unsafe path[start + 1] == 0x2E {
                guard written > 1 else { return nil }
                written -= 1
                while unsafe path[written - 1] != 0x2F { written -= 1 }
            } else if unsafe !(count == 1 && path[start] == 0x2E) {
                for i in start..<end {
                    unsafe path[written] = path[i]
                    written += 1
                }
                if end < path.count {
                    unsafe path[written] = 0x2F
                    written += 1
                }
            }
            start = end + 1
        }
        return written
    }
}
