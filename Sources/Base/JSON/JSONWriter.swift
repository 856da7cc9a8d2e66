/// Writes JSON (RFC 8259) piece by piece, for the edges: answers of the admin API, output of commands. Commas and
/// colons come by themselves; objects and arrays are closed by the end of the closure that fills them.
///
///     var json = JSONWriter()
///     json.object { json in
///         json.member("id", "acme")
///         json.member("hosts") { $0.array { json in for host in hosts { json.value(host) } } }
///     }
public struct JSONWriter {
    /// The text so far.
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func object(_ fill: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(0x7B)
        fill(&self)
        bytes.append(0x7D)
    }

    public mutating func array(_ fill: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(0x5B)
        fill(&self)
        bytes.append(0x5D)
    }

    /// One member of an object, whose value is what `write` writes: exactly one value.
    public mutating func member(_ name: String, _ write: (inout JSONWriter) -> Void) {
        value(name)
        bytes.append(0x3A)
        write(&self)
    }

    public mutating func member(_ name: String, _ value: String?) { member(name) { $0.value(value) } }
    public mutating func member(_ name: String, _ value: Int?) { member(name) { $0.value(value) } }
    public mutating func member(_ name: String, _ value: UInt64?) { member(name) { $0.value(value) } }
    public mutating func member(_ name: String, _ value: Bool?) { member(name) { $0.value(value) } }
    public mutating func member(_ name: String, _ values: [String]) {
        member(name) { $0.array { json in for value in values { json.value(value) } } }
    }

    public mutating func value(_ text: String?) {
        guard var text else { return null() }
        separate()
        bytes.append(0x22)
        text.withUTF8 { text in
            unsafe withUnsafeTemporaryAllocation(byteCount: JSONText.room(for: text.count), alignment: 8) { region in
                guard let start = region.baseAddress else { return }
                let end = unsafe JSONText.write(UnsafeRawBufferPointer(text), to: start)
                unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: end - start))
            }
        }
        bytes.append(0x22)
    }

    public mutating func value(_ number: Int?) {
        guard let number else { return null() }
        separate()
        bytes.append(contentsOf: number.description.utf8)
    }

    public mutating func value(_ number: UInt64?) {
        guard let number else { return null() }
        separate()
        bytes.append(contentsOf: number.description.utf8)
    }

    public mutating func value(_ flag: Bool?) {
        guard let flag else { return null() }
        separate()
        bytes.append(contentsOf: (flag ? "true" : "false").utf8)
    }

    public mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    /// A comma, unless this is the first thing here or the value of a member: the byte before tells. Text in a string
    /// cannot be mistaken for it, a string ends in a quote.
    private mutating func separate() {
        switch bytes.last {
        case nil, 0x7B, 0x5B, 0x3A: break
        default: bytes.append(0x2C)
        }
    }
}
