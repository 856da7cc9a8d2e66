import Base
import Glibc

/// Reads the lines of a head (RFC 9112 sections 2 to 5), the same way for requests, answers and trailers.
///
/// A line is judged once its LF has arrived, and never before, so that what is refused does not depend on how the bytes
/// were cut into reads. Only the first bytes of the start line are judged as they come: a peer that does not speak HTTP
/// should be told at once.
///
/// It lives no longer than the call that was given the bytes. Nothing is read in front of `base`, nor at `end` or behind it: a
/// place is compared with `end` before it is looked at.
@safe struct HeadScanner {
    let base: UnsafeRawPointer
    let end: Int
    /// A line's start, or a place inside the line that is being read.
    var at: Int

    @inline(__always)
    init(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) { unsafe (self.base, self.at, self.end) = (base, at, end) }

    /// Not checked: whoever asks has compared `index` with `end`.
    @unsafe @inline(__always)
    func byte(_ index: Int) -> UInt8 { unsafe base.load(fromByteOffset: index, as: UInt8.self) }

    @inline(__always)
    func bytes(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base + start, count: end &- start)
    }

    /// Whether the line that `start` lies in has its LF.
    func lineIsWhole(_ start: Int) -> Bool { unsafe memchr(base + start, Int32(ASCII.lf), end &- start) != nil }

    /// Whether a CRLF stands at `index`.
    @inline(__always)
    func isLineEnd(_ index: Int) -> Bool {
        unsafe end &- index >= 2
            && UInt16(littleEndian: (base + index).loadUnaligned(as: UInt16.self)) == UInt16(ASCII.lf) << 8
                | UInt16(ASCII.cr)
    }

    /// Steps over the CRLF at `at`. False when it has not arrived.
    @inline(__always)
    mutating func lineEnd() throws(Flaw) -> Bool {
        guard isLineEnd(at) else {
            if let flaw = lineEndFlaw(at) { throw flaw }
            return false
        }
        at &+= 2
        return true
    }

    /// What is wrong with a line that should end at `index` and does not; nil when its end may still arrive.
    @inline(never)
    func lineEndFlaw(_ index: Int) -> Flaw? {
        guard index < end else { return nil }
        switch unsafe byte(index) {
        case ASCII.lf: return .bareLF
        case ASCII.cr: return index &+ 1 < end ? .bareCR : nil
        default: return .startLine
        }
    }

    /// The field line at `start`, and where the next line begins. Nil when its end has not arrived.
    @inline(__always)
    func fieldLine(_ start: Int) throws(Flaw) -> (field: Field, next: Int)? {
        let colon = unsafe WordScan.colon(base, start, end)
        guard colon < end, unsafe byte(colon) == 0x3A, colon > start else {
            if let flaw = nameFlaw(start) { throw flaw }
            return nil
        }
        var id = unsafe FieldName.known(base + start, colon &- start)
        if id == .other || id == .xTenant || id == .xForwardedOther { id = try unknownName(start, colon, id) }

        var first = colon &+ 1
        if first < end, unsafe byte(first) == ASCII.space { first &+= 1 }
        while first < end, unsafe isWhitespace(byte(first)) { first &+= 1 }
        var stop = unsafe WordScan.valueEnd(base, first, end)
        if !isLineEnd(stop) {
            stop = unsafe WordScan.valueEndByBytes(base, stop, end)
            guard isLineEnd(stop) else {
                guard let flaw = lineEndFlaw(stop) else { return nil }
                throw flaw == .startLine ? .fieldValue : flaw
            }
        }
        var last = stop
        while last > first, unsafe isWhitespace(byte(last &- 1)) { last &-= 1 }
        return (Field(id: id, name: ByteRange(start, colon), value: ByteRange(first, last)), stop &+ 2)
    }

    @inline(__always)
    private func isWhitespace(_ byte: UInt8) -> Bool {
        byte <= ASCII.space && (byte == ASCII.space || byte == ASCII.tab)
    }

    /// A name that is not known in full: each of its bytes is looked at. Eight at a time will nearly always do.
    @inline(never)
    private func unknownName(_ start: Int, _ colon: Int, _ id: FieldName) throws(Flaw) -> FieldName {
        if start >= 8, unsafe WordScan.plainEnd(base, start, colon) == colon { return id }
        var plain = true
        for i in start..<colon where unsafe !FieldName.isPlain(byte(i)) {
            guard unsafe ASCII.isToken(byte(i)) else { throw nameFlaw(start) ?? .fieldName }
            plain = false
        }
        return unsafe plain || id != .other ? id : FieldName.folded(bytes(start, colon))
    }

    /// What is wrong with the name of the field line at `start`; nil when it may still become right.
    @inline(never)
    private func nameFlaw(_ start: Int) -> Flaw? {
        var at = start
        while at < end, unsafe ASCII.isToken(byte(at)) { at &+= 1 }
        guard at < end else { return nil }
        let next = unsafe at &+ 1 < end ? byte(at &+ 1) : nil
        switch unsafe byte(at) {
        case ASCII.lf: return .bareLF
        case ASCII.cr: return next.map { $0 == ASCII.lf ? .missingColon : .bareCR }
        case ASCII.space, ASCII.tab: return at == start ? .lineFolding : next == 0x3A ? .spaceBeforeColon : .fieldName
        default: return .fieldName
        }
    }

    /// Field lines up to and including the empty line. False when it has not arrived.
    @inline(__always)
    mutating func fields(into list: inout FieldList, limit: Int) throws(Flaw) -> Bool {
        // A copy: of `self`, whose place moves, every step would be read from memory again.
        let scanner = self
        var line = at
        var writer = list.writer(limit: limit)
        while !scanner.isLineEnd(line) {
            at = line
            guard let (field, next) = try scanner.fieldLine(line) else { return false }
            writer.append(field)
            line = next
        }
        list.take(writer)
        at = line
        // Only now: which flaw is reported must not depend on how the bytes arrived.
        if writer.surplus { throw .tooManyFields }
        at &+= 2
        return true
    }
}
