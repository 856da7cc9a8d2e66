import Base

/// The two fields that say where a body ends (RFC 9112 section 6). Nothing is guessed and nothing is repaired: most
/// request smuggling begins with a reader that did. `base` is where the head stands that the fields are of.
enum Framing {
    /// What the fields say; nil when they say nothing.
    @inline(__always)
    static func read(
        _ fields: borrowing FieldList, _ base: UnsafeRawPointer, _ version: Version
    ) throws(Flaw) -> BodyFraming? {
        guard fields.present.intersects(FieldSet(.contentLength) | .transferEncoding | .ambiguousFraming) else {
            return nil
        }
        return try unsafe readPresent(fields, base, version)
    }

    private static func readPresent(
        _ fields: borrowing FieldList, _ base: UnsafeRawPointer, _ version: Version
    ) throws(Flaw) -> BodyFraming? {
        if fields.present.contains(.ambiguousFraming) { throw .ambiguousFieldName }
        if let coding = fields.first(.transferEncoding) {
            if fields.present.contains(.contentLength) { throw .lengthWithCoding }
            if fields.repeated.contains(.transferEncoding) { throw .codingRepeated }
            if version == .http10 { throw .codingInHTTP10 }
            try unsafe checkCoding(bytes(base, coding.value))
            return .chunked
        }
        guard let length = fields.first(.contentLength) else { return nil }
        if fields.repeated.contains(.contentLength) { throw .lengthRepeated }
        return unsafe .length(try contentLength(bytes(base, length.value)))
    }

    private static func bytes(_ base: UnsafeRawPointer, _ range: ByteRange) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base + range.first, count: Int(range.count))
    }

    /// Digits only. A leading zero is refused too: there are readers that take it for octal.
    private static func contentLength(_ value: UnsafeRawBufferPointer) throws(Flaw) -> UInt64 {
        guard let first = unsafe value.first, ASCII.isDigit(first), first != 0x30 || value.count == 1 else {
            throw .lengthSyntax
        }
        guard unsafe value.allSatisfy(ASCII.isDigit) else { throw .lengthSyntax }
        guard let length = unsafe ASCII.decimal(value), length <= UInt64(Int64.max) else { throw .lengthTooLarge }
        return length
    }

    /// Returns for `chunked` alone. A list of other well-formed codings is `codingUnknown`, unless `chunked` is in it:
    /// it would have to be the last and the only one of its name (RFC 9112 section 6.1).
    private static func checkCoding(_ value: UnsafeRawBufferPointer) throws(Flaw) {
        if unsafe ASCII.equalsIgnoringCase(value, "chunked") { return }
        var list = unsafe TokenList(value)
        var chunkedAt: Int?
        var count = 0
        while let coding = unsafe list.next() {
            if unsafe ASCII.equalsIgnoringCase(coding, "chunked") {
                guard chunkedAt == nil else { throw .codingSyntax }
                chunkedAt = count
            }
            count += 1
        }
        guard list.isWellFormed, !list.hasEmptyElements, count > 0 else { throw .codingSyntax }
        if let chunkedAt, chunkedAt != count - 1 { throw .codingSyntax }
        throw .codingUnknown
    }
}
