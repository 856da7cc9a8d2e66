import Base

/// `method SP request-target SP HTTP-version CRLF` (RFC 9112 section 3). Here and below the scanner is asked for a byte only where
/// its place was compared with `end`.
struct RequestLine {
    var method: Method
    var methodRange: ByteRange
    /// As sent.
    var target: ByteRange
    var version: Version

    /// A longer method is nobody's.
    static let methodLengthMax = 24

    /// The request line at the scanner. Nil when its end has not arrived; a flaw counts only if the line is whole, but
    /// for those of `checkStart`.
    @inline(__always)
    static func parse(_ scanner: inout HeadScanner) throws(Flaw) -> RequestLine? {
        let start = scanner.at
        let end = scanner.end
        let space: Int
        let method: Method
        if scanner.isGET(start) {
            (space, method) = (start &+ 3, .get)
        } else {
            guard let found = try methodEnd(scanner) else { return nil }
            (space, method) = unsafe (found, Method(scanner.bytes(start, found)))
        }
        let target = space &+ 1
        let targetEnd = unsafe WordScan.targetEnd(scanner.base, target, end)
        guard targetEnd < end else { return nil }
        guard unsafe scanner.byte(targetEnd) == ASCII.space else {
            throw targetFlaw(scanner, target, targetEnd)
        }
        guard targetEnd > target else { throw .startLine }
        scanner.at = targetEnd &+ 1
        guard let version = try HTTPVersion.parse(&scanner) else { return nil }
        // Before the scanner leaves the line: a flaw is one of the line it stands in.
        if method == .connect { throw .connectMethod }
        // It would show its sender the fields that were added on the way (RFC 9110 section 9.3.8).
        if method == .trace { throw .traceMethod }
        guard try scanner.lineEnd() else { return nil }
        return RequestLine(
            method: method, methodRange: ByteRange(start, space), target: ByteRange(target, targetEnd), version: version
        )
    }

    /// What is wrong with a target that ends in something else than a space.
    private static func targetFlaw(_ scanner: HeadScanner, _ start: Int, _ end: Int) -> Flaw {
        switch unsafe scanner.byte(end) {
        case ASCII.lf: .bareLF
        case ASCII.cr where unsafe end &+ 1 < scanner.end && scanner.byte(end &+ 1) != ASCII.lf: .bareCR
        case ASCII.cr: end == start ? .startLine : .version09
        default: .targetByte
        }
    }

    /// The space after the method; nil while it has not arrived. Its flaws count at once.
    @inline(__always)
    static func methodEnd(_ scanner: HeadScanner) throws(Flaw) -> Int? {
        let start = scanner.at
        var at = start
        while at < scanner.end {
            let byte = unsafe scanner.byte(at)
            if byte == ASCII.space, at > start { return at }
            guard ASCII.isToken(byte) else { throw .methodName }
            guard at &- start < methodLengthMax else { throw .methodTooLong }
            at &+= 1
        }
        return nil
    }
}

extension HeadScanner {
    /// `GET ` at `index`, the start of most requests.
    @inline(__always)
    fileprivate func isGET(_ index: Int) -> Bool {
        let get: StaticString = "GET "
        return unsafe end &- index >= 4
            && (base + index).loadUnaligned(as: UInt32.self)
                == UnsafeRawPointer(get.utf8Start).loadUnaligned(as: UInt32.self)
    }
}

/// `HTTP-version SP 3DIGIT [ SP [ reason-phrase ] ] CRLF` (RFC 9112 section 4). The space before an absent reason is
/// demanded by the RFC and left out by many servers.
struct StatusLine {
    var version: Version
    var status: UInt16
    var reason: ByteRange

    @inline(__always)
    static func parse(_ scanner: inout HeadScanner) throws(Flaw) -> StatusLine? {
        guard let version = try HTTPVersion.parse(&scanner) else { return nil }
        let at = scanner.at
        guard scanner.end &- at >= 5 else { return try short(scanner, at) }
        guard unsafe scanner.byte(at) == ASCII.space else { throw .statusCode }
        var status: UInt16 = 0
        for i in at &+ 1...at &+ 3 {
            guard unsafe ASCII.isDigit(scanner.byte(i)) else { throw .statusCode }
            status = unsafe status &* 10 &+ UInt16(scanner.byte(i) &- 0x30)
        }
        guard status >= 100, status <= 599 else { throw .statusCode }
        scanner.at = at &+ 4
        var reason = ByteRange.empty
        if unsafe scanner.byte(scanner.at) == ASCII.space {
            let first = scanner.at &+ 1
            var stop = unsafe WordScan.valueEnd(scanner.base, first, scanner.end)
            if !scanner.isLineEnd(stop) { stop = unsafe WordScan.valueEndByBytes(scanner.base, stop, scanner.end) }
            reason = ByteRange(first, stop)
            scanner.at = stop
            if stop < scanner.end, unsafe scanner.byte(stop) != ASCII.cr, unsafe scanner.byte(stop) != ASCII.lf {
                throw .reasonPhrase
            }
        } else if unsafe scanner.byte(scanner.at) != ASCII.cr, unsafe scanner.byte(scanner.at) != ASCII.lf {
            throw .statusCode
        }
        guard try scanner.lineEnd() else { return nil }
        return StatusLine(version: version, status: status, reason: reason)
    }

    /// Too few bytes for a status. A whole line is none.
    private static func short(_ scanner: HeadScanner, _ at: Int) throws(Flaw) -> StatusLine? {
        if scanner.lineIsWhole(at) { throw .statusCode }
        return nil
    }
}

/// `HTTP/` DIGIT `.` DIGIT (RFC 9112 section 2.3).
enum HTTPVersion {
    private static let length = 8

    /// Nil when it has not arrived.
    @inline(__always)
    static func parse(_ scanner: inout HeadScanner) throws(Flaw) -> Version? {
        let at = scanner.at
        guard scanner.end &- at >= length else {
            if scanner.lineIsWhole(at) { throw .versionSyntax }
            return nil
        }
        let word = unsafe (scanner.base + at).loadUnaligned(as: UInt64.self)
        let expected: StaticString = "HTTP/1.1"
        var version = Version.http11
        if unsafe word != UnsafeRawPointer(expected.utf8Start).loadUnaligned(as: UInt64.self) {
            version = try other(scanner, at)
        }
        scanner.at = at &+ length
        return version
    }

    private static func other(_ scanner: HeadScanner, _ at: Int) throws(Flaw) -> Version {
        let major = unsafe scanner.byte(at &+ 5)
        let minor = unsafe scanner.byte(at &+ 7)
        guard unsafe scanner.bytes(at, at &+ 5).equals("HTTP/"), ASCII.isDigit(major),
            unsafe scanner.byte(at &+ 6) == 0x2E,
            ASCII.isDigit(minor)
        else { throw .versionSyntax }
        switch major {
        case 0x30: throw .version09
        case 0x31: return minor == 0x30 ? .http10 : .http11
        default: throw .versionMajor
        }
    }
}
