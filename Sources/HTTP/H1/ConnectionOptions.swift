import Base

/// What the `Connection` fields of a head say (RFC 9110 section 7.6.1).
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
            let value = base + field.value.first
            if field.value.count == 10, FieldName.spells(value, "keep-alive") {
                return ConnectionOptions(keepAlive: true)
            }
            if field.value.count == 5, FieldName.spells(value, "close") { return ConnectionOptions(close: true) }
        }
        return try readLists(&fields, base)
    }

    private static func readLists(_ fields: inout FieldList, _ base: UnsafeRawPointer) throws(Flaw) -> ConnectionOptions
    {
        var options = ConnectionOptions()
        var count = 0
        for i in 0..<fields.count where fields[i].id == .connection {
            let value = fields[i].value
            var list = TokenList(UnsafeRawBufferPointer(start: base + value.first, count: Int(value.count)))
            while let option = list.next() {
                count += 1
                guard count <= optionsMax else { throw .connectionSyntax }
                options.take(option, &fields, base)
            }
            guard list.isWellFormed else { throw .connectionSyntax }
        }
        return options
    }

    private mutating func take(_ option: UnsafeRawBufferPointer, _ fields: inout FieldList, _ base: UnsafeRawPointer) {
        if ASCII.equalsIgnoringCase(option, "close") { close = true }
        if ASCII.equalsIgnoringCase(option, "keep-alive") { keepAlive = true }
        if ASCII.equalsIgnoringCase(option, "upgrade") { upgrade = true }
        let id = FieldName.classify(option)
        if FieldSet.protected.contains(id) { return }
        for i in 0..<fields.count where fields[i].id == id {
            let name = fields[i].name
            let bytes = UnsafeRawBufferPointer(start: base + name.first, count: Int(name.count))
            if id != .other || bytes.equalsIgnoringCase(option) { fields.drop(i) }
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether two runs of bytes are equal but for the case of ASCII letters.
    func equalsIgnoringCase(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        for i in 0..<count where ASCII.lowercase(self[i]) != ASCII.lowercase(other[i]) { return false }
        return true
    }
}
