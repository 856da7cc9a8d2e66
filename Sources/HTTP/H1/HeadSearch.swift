import Base
import Glibc

/// What is known of a head that is not whole yet. It keeps no state between two calls but how far the bytes were looked
/// at, and looks at each byte a fixed number of times however the bytes are cut into reads.
///
///     scanned = 0 ----parse----> complete | refused
///                       |
///                   incomplete: scanned = all        (each further read)
///                       +---> resume: whole lines among the new bytes are judged; nothing is kept
///                                 | the empty line came: parse from the start, once
///
/// The bytes are those from `base` up to `end`; a place is compared with both before it is looked at.
enum HeadSearch {
    /// A flaw of the start line's first bytes lies within these.
    private static let startLength = RequestLine.methodLengthMax + 8

    /// Judges the lines that became whole since `scanned`. The end of the head when it is among them.
    static func resume(
        _ kind: MessageKind, _ base: UnsafeRawPointer, _ scanned: Int, _ end: Int
    ) throws(Flaw) -> Int? {
        if scanned < startLength { try unsafe checkStart(kind, base, end) }
        var at = scanned
        guard var lf = unsafe nextLF(base, at, end) else { return nil }
        var line = at
        while line > 0, unsafe base.load(fromByteOffset: line &- 1, as: UInt8.self) != ASCII.lf { line &-= 1 }
        while true {
            at = lf &+ 1
            if try unsafe judge(kind, base, line, at) { return at }
            line = at
            guard let next = unsafe nextLF(base, at, end) else { return nil }
            lf = next
        }
    }

    /// The first bytes of a start line are judged before its end has come.
    static func checkStart(_ kind: MessageKind, _ base: UnsafeRawPointer, _ end: Int) throws(Flaw) {
        var scanner = unsafe HeadScanner(base, 0, end)
        switch kind {
        case .request:
            if try skipEmptyLine(&scanner) { _ = try RequestLine.methodEnd(scanner) }
        case .response:
            let protocolName: StaticString = "HTTP/"
            for i in 0..<min(end, protocolName.utf8CodeUnitCount)
            where unsafe scanner.byte(i) != protocolName.utf8Start[i] { throw .startLine }
        }
    }

    /// One empty line before a request is the late end of the one before (RFC 9112 section 2.2). False when more bytes
    /// are needed to tell.
    @inline(__always)
    static func skipEmptyLine(_ scanner: inout HeadScanner) throws(Flaw) -> Bool {
        guard scanner.at < scanner.end else { return false }
        guard unsafe scanner.byte(scanner.at) == ASCII.cr else { return true }
        guard try scanner.lineEnd() else { return false }
        guard scanner.at < scanner.end else { return false }
        if unsafe scanner.byte(scanner.at) == ASCII.cr || scanner.byte(scanner.at) == ASCII.lf { throw .emptyLines }
        return true
    }

    /// The outcome of a parse that did not reach the head's end: it ran out of bytes, or into `flaw`.
    static func unfinished(
        _ kind: MessageKind, _ scanner: HeadScanner, _ flaw: Flaw?, _ limits: ParseLimits
    ) -> ParseOutcome {
        do throws(Flaw) { try unsafe checkStart(kind, scanner.base, scanner.end) } catch {
            return .refused(kind.fault(error))
        }
        if let flaw, scanner.lineIsWhole(scanner.at) { return .refused(kind.fault(flaw)) }
        return unsafe pending(kind, scanner.base, scanner.end, limits)
    }

    /// The outcome while the head's end is not among the bytes and nothing is wrong with them.
    static func pending(
        _ kind: MessageKind, _ base: UnsafeRawPointer, _ end: Int, _ limits: ParseLimits
    ) -> ParseOutcome {
        guard end >= limits.maxHeadSize else { return .incomplete }
        let start = unsafe end >= 2 && base.load(as: UInt8.self) == ASCII.cr ? 2 : 0
        return unsafe .refused(kind.fault(nextLF(base, start, end) == nil ? .requestLineTooLong : .headTooLarge))
    }

    private static func nextLF(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> Int? {
        guard at < end, let found = unsafe memchr(base + at, Int32(ASCII.lf), end &- at) else { return nil }
        return unsafe UnsafeRawPointer(found) - base
    }

    /// One whole line. True for the empty line that ends the head.
    private static func judge(
        _ kind: MessageKind, _ base: UnsafeRawPointer, _ line: Int, _ end: Int
    ) throws(Flaw) -> Bool {
        var scanner = unsafe HeadScanner(base, line, end)
        let isEmpty = unsafe end &- line <= 2 && (scanner.byte(line) == ASCII.cr || scanner.byte(line) == ASCII.lf)
        let isStart = unsafe line == 0 || (line == 2 && kind == .request && base.load(as: UInt8.self) == ASCII.cr)
        if isStart {
            if isEmpty, line == 0 { return false }  // checkStart has judged it
            switch kind {
            case .request: _ = try RequestLine.parse(&scanner)
            case .response: _ = try StatusLine.parse(&scanner)
            }
            return false
        }
        if isEmpty { return try scanner.lineEnd() }
        _ = try scanner.fieldLine(line)
        return false
    }
}
