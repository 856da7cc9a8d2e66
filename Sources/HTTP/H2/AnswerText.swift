import Base

/// Makes of a field block the head that HTTP/1.1 would have for the same answer, as `RequestText` does for requests: one
/// strict reader of heads serves both protocols. Whatever isn't written in RFC 9113 section 8 makes the answer malformed.
struct AnswerText: FieldListText {
    private let sizeMax: Int
    /// The request was a CONNECT: a length means nothing in an answer that accepts it (RFC 9110 section 9.3.6).
    private let isToConnect: Bool
    private(set) var size = 0
    private(set) var isMalformed = false
    /// Larger than allowed: the fields are decoded and forgotten.
    private(set) var isTooLarge = false
    /// 0 until it is known.
    private(set) var status: UInt16 = 0
    /// `Content-Length`.
    private(set) var declared: UInt64?

    init(sizeMax: Int, isToConnect: Bool) { (self.sizeMax, self.isToConnect) = (sizeMax, isToConnect) }

    /// The final answer is yet to come.
    var isInterim: Bool { status < 200 }

    mutating func take(_ field: DecodedField, _ out: inout ByteWriter) {
        size += Int(field.name.count) + Int(field.value.count) + DynamicTable.overhead
        if out.overflowed || size > sizeMax { isTooLarge = true }
        // Nobody wants its text any more, but its status tells whether another head is to come.
        if isTooLarge, status != 0 { return out.truncate(to: 0) }
        let text = unsafe out.written
        if isMalformed || out.overflowed { return out.truncate(to: 0) }
        let (name, value) = unsafe (text[field.name], text[field.value])
        if status == 0 {
            // The only pseudo-field of an answer, in front of all others (section 8.3.2).
            guard unsafe name.equals(":status"), let status = unsafe Self.status(value) else { return malformed(&out) }
            self.status = status
            out.truncate(to: 0)
            out.append("HTTP/1.1 ")
            out.append(decimal: UInt64(status))
            return out.append(" \r\n")
        }
        guard unsafe FieldBytes.isName(name), unsafe FieldBytes.isValue(value) else { return malformed(&out) }
        switch unsafe FieldName.classify(name) {
        case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade, .te: malformed(&out)
        case .contentLength:
            if isToConnect, status / 100 == 2 { return out.truncate(to: field.name.first) }
            guard declared == nil, let length = unsafe ASCII.decimal(value) else { return malformed(&out) }
            declared = length
        default: break
        }
    }

    private mutating func malformed(_ out: inout ByteWriter) {
        isMalformed = true
        out.truncate(to: 0)
    }

    /// Three digits, of a class that there is. There is nothing to switch to from HTTP/2 (section 8.6).
    private static func status(_ value: UnsafeRawBufferPointer) -> UInt16? {
        guard value.count == 3, let status = unsafe ASCII.decimal(value), (100...599).contains(status), status != 101 else { return nil }
        return UInt16(status)
    }

    /// The head is whole: where it stands in the room; nil when it is malformed or too large.
    mutating func finish(_ out: inout ByteWriter) -> ByteRange? {
        if status == 0 { isMalformed = true }
        out.append("\r\n")
        if out.overflowed { isTooLarge = true }
        return isMalformed || isTooLarge ? nil : ByteRange(0, out.count)
    }
}

/// What a field block is made into, field by field.
protocol FieldListText {
    /// Of the list so far, as section 6.5.2 counts it.
    var size: Int { get }
    /// The next field, which stands at the end of the room.
    mutating func take(_ field: DecodedField, _ out: inout ByteWriter)
}
