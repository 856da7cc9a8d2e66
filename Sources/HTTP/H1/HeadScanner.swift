import Base
import Glibc

/// Reads the lines of a head (RFC 9112 sections 2 to 5), the same way for requests, answers and trailers.
///
/// A line is judged once its LF has arrived, and never before, so that what is refused does not depend on how the bytes
/// were cut into reads. Only the first bytes of the start line are judged as they come: a peer that does not speak HTTP
/// should be told at once.
struct HeadScanner {
    let base: UnsafeRawPointer
    let end: Int
    var at: Int

    @inline(__always)
    init(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) { (self.base, self.at, self.end) = (base, at, end) }

    @inline(__always)
    func byte(_ index: Int) -> UInt8 { base.load(fromByteOffset: index, as: UInt8.self) }

    @inline(__always)
    func bytes(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + start, count: end &- start)
    }

    /// Whether the line that starts at `start` has its LF.
    func lineIsWhole(_ start: Int) -> Bool { memchr(base + start, Int32(ASCII.lf), end &- start) != nil }

    /// Steps over the CRLF at `at`. False when it has not arrived.
    @inline(__always)
    mutating func lineEnd() throws(Flaw) -> Bool {
        guard end &- at >= 2 else {
            if at < end, byte(at) == ASCII.lf { throw .bareLF }
            return false
        }
        if byte(at) == ASCII.cr, byte(at &+ 1) == ASCII.lf {
            at &+= 2
            return true
        }
        switch byte(at) {
        case ASCII.lf: throw .bareLF
        case ASCII.cr: throw .bareCR
        default: throw .startLine
        }
    }

    /// One field line. Nil when its end has not arrived; a flaw counts only if `lineIsWhole`.
    @inline(__always)
    mutating func fieldLine() throws(Flaw) -> Field? {
        let start = at
        let colon = WordScan.first(0x3A, base, start, end)
        guard colon < end else {
            if lineIsWhole(start) { throw nameFlaw(start, end) }
            return nil
        }
        guard colon > start else { throw .fieldName }
        var id = FieldName.known(base + start, colon &- start)
        if id == .other || id == .xTenant || id == .xForwardedOther { id = try unknownName(start, colon, id) }

        var first = colon &+ 1
        while first < end, isWhitespace(byte(first)) { first &+= 1 }
        let stop = WordScan.valueEnd(base, first, end)
        guard end &- stop >= 2 else {
            if stop < end, byte(stop) != ASCII.cr { throw byte(stop) == ASCII.lf ? .bareLF : .fieldValue }
            return nil
        }
        guard byte(stop) == ASCII.cr else { throw byte(stop) == ASCII.lf ? .bareLF : .fieldValue }
        guard byte(stop &+ 1) == ASCII.lf else { throw .bareCR }
        at = stop &+ 2
        var last = stop
        while last > first, isWhitespace(byte(last &- 1)) { last &-= 1 }
        return Field(id: id, name: ByteRange(start, colon), value: ByteRange(first, last))
    }

    @inline(__always)
    private func isWhitespace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }

    /// A name that is not known in full: each of its bytes is looked at.
    private func unknownName(_ start: Int, _ colon: Int, _ id: FieldName) throws(Flaw) -> FieldName {
        var plain = true
        for i in start..<colon where !FieldName.isPlain(byte(i)) {
            guard ASCII.isToken(byte(i)) else { throw nameFlaw(start, colon) }
            plain = false
        }
        if plain || id != .other { return id }
        return FieldName.folded(bytes(start, colon))
    }

    /// What is wrong with a name that is no token.
    private func nameFlaw(_ start: Int, _ end: Int) -> Flaw {
        if isWhitespace(byte(start)) { return .lineFolding }
        for i in start..<end {
            switch byte(i) {
            case ASCII.lf: return .bareLF
            case ASCII.cr: return i &+ 1 < self.end && byte(i &+ 1) == ASCII.lf ? .missingColon : .bareCR
            case ASCII.space, ASCII.tab: return i &+ 1 == end ? .spaceBeforeColon : .fieldName
            case let other where ASCII.isToken(other): continue
            default: return .fieldName
            }
        }
        return .fieldName
    }

    /// Field lines up to and including the empty line. False when it has not arrived.
    @inline(__always)
    mutating func fields(into list: inout FieldList, limit: Int) throws(Flaw) -> Bool {
        var surplus = false
        while true {
            guard at < end else { return false }
            if byte(at) == ASCII.cr || byte(at) == ASCII.lf {
                let start = at
                guard try lineEnd() else { return false }
                guard surplus else { return true }
                at = start
                throw .tooManyFields
            }
            guard let field = try fieldLine() else { return false }
            // The rest is read all the same: which flaw is reported must not depend on how the bytes arrived.
            if list.count >= limit || !list.append(field) { surplus = true }
        }
    }
}
