import Base

/// The fields behind a body (RFC 9113 section 8.1), as the lines that a chunked body would have at its end.
struct TrailerText: FieldListText {
    private let sizeMax: Int
    private(set) var size = 0
    private(set) var isMalformed = false

    init(sizeMax: Int) { self.sizeMax = sizeMax }

    /// The next field, which stands at the end of the room.
    mutating func take(_ field: DecodedField, _ out: inout ByteWriter) {
        size += Int(field.name.count) + Int(field.value.count) + DynamicTable.overhead
        if out.overflowed || size > min(sizeMax, Limits.trailerSizeMax) { isMalformed = true }
        if isMalformed { return out.truncate(to: 0) }
        let text = unsafe out.written
        let (name, value) = unsafe (text[field.name], text[field.value])
        // A pseudo-field is no token. What frames a message comes too late here.
        guard unsafe FieldBytes.isName(name), unsafe FieldBytes.isValue(value) else {
            isMalformed = true
            return
        }
        let id = unsafe FieldName.classify(name)
        if id.isHopByHop || FieldSet.framing.contains(id) { isMalformed = true }
        // As in a chunked body: what means something to the gateway has no place here.
        if id != .other { out.truncate(to: field.name.first) }
    }
}
