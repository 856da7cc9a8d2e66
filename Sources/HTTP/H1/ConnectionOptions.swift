import Base

/// What the `Connection` fields of a head say (RFC 9110 section 7.6.1). `base` is where the head stands that the fields are of.
struct ConnectionOptions {
    var close = false
    var keepAlive = false
    var upgrade = false

    /// Each option is compared with each field: a bound, for both are the peer's.
    private static let optionsMax = 32

    /// Reads the options, and marks the fields that they name as meant for this connection only. The names that the
    /// gateway writes or decides by are out of a peer's reach: `Connection: X-Forwarded-For` removes nothing.
    @inline(__always)
    static func read(_ fields: inout FieldList, _ base: UnsafeRawPointer) throws(Flaw) -> ConnectionOptions {
        guard let field = fields.first(.connection) else { return ConnectionOptions() }
        if !fields.repeated.contains(.connection) {
            let value = unsafe NameBytes(base + field.value.first, Int(field.value.count))
            if value.count == 10, value.begins(with: "keep-alive") { return ConnectionOptions(keepAlive: true) }
            if value.count == 5, value.begins(with: "close") { return ConnectionOptions(close: true) }
        }
        return try unsafe readLists(&fields, base)
    }

    private static func readLists(_ fields: inout FieldList, _ base: UnsafeRawPointer) throws(Flaw) -> ConnectionOptions
    {
        var options = ConnectionOptions()
        var count = 0
        for i in 0..<fields.count where fields[i].id == .connection {
            let value = fields[i].value
            var list = unsafe TokenList(UnsafeRawBufferPointer(start: base + value.first, count: Int(value.count)))
            while let option = unsafe list.next() {
                count += 1
                guard count <= optionsMax else { throw .connectionSyntax }
                unsafe options.take(option, &fields, base)
            }
            guard list.isWellFormed else { throw .connectionSyntax }
        }
        return options
    }

    private mutating func take(_ option: UnsafeRawBufferPointer, _ fields: inout FieldList, _ base: UnsafeRawPointer) {
        if unsafe ASCII.equalsIgnoringCase(option, "close") { close = true }
        if unsafe ASCII.equalsIgnoringCase(option, "keep-alive") { keepAlive = true }
        if unsafe ASCII.equalsIgnoringCase(option, "upgrade") { upgrade = true }
        let id = unsafe FieldName.classify(option)
        if FieldSet.protected.contains(id) { return }
        for i in 0..<fields.count where fields[i].id == id {
            let name = fields[i].name
            let bytes = unsafe UnsafeRawBufferPointer(start: base + name.first, count: Int(name.count))
            if unsafe id != .other || bytes.equalsIgnoringCase(option) { fields.drop(i) }
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether two runs of bytes are equal but for the case of ASCII letters.
    func equalsIgnoringCase(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        for i in 0..<count where unsafe ASCII.lowercase(self[i]) != ASCII.lowercase(other[i]) { return false }
        return true
    }
}
