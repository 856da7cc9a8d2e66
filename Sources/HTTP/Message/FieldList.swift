/// One field line of a head: where its name and its value stand in the parsed bytes.
public struct Field: Sendable {
    public var name: ByteRange
    /// Without the white space around it.
    public var value: ByteRange
    public var id: FieldName
    /// A `Connection` field names it: it is for this connection only (RFC 9110 section 7.6.1).
    public var dropped: Bool

    /// From the name to the end of the value as sent: what is copied when a field is forwarded, before its CRLF.
    @inline(__always)
    public var line: ByteRange { ByteRange(name.first, value.end) }

    @inline(__always)
    public init(id: FieldName, name: ByteRange, value: ByteRange, dropped: Bool = false) {
        (self.id, self.name, self.value, self.dropped) = (id, name, value, dropped)
    }
}

/// The fields of one head, in their order. Its room is taken once and reused for every message; every index is compared with
/// `count`, and every count with `capacity`.
@safe public struct FieldList: ~Copyable {
    /// Its own, from `init` to `deinit`.
    private let base: UnsafeMutablePointer<Field>
    public let capacity: Int
    public private(set) var count = 0
    /// The known names that occur, and those that occur more than once.
    public private(set) var present = FieldSet()
    public private(set) var repeated = FieldSet()

    public init(capacity: Int) {
        self.capacity = max(capacity, 0)
        unsafe base = .allocate(capacity: max(capacity, 1))
    }

    deinit { unsafe base.deallocate() }

    public subscript(index: Int) -> Field {
        @inline(__always) get {
            precondition(index >= 0 && index < count, "field index out of range")
            return unsafe base[index]
        }
    }

    /// The first field of that name. Most names are absent, which costs one test.
    @inline(__always)
    public func first(_ id: FieldName) -> Field? {
        guard present.contains(id) else { return nil }
        for i in 0..<count where unsafe base[i].id == id { return unsafe base[i] }
        return nil
    }

    /// Forgets the fields of the message before, and takes up to `limit` new ones from the writer.
    @inline(__always)
    mutating func writer(limit: Int) -> Writer {
        (count, present, repeated) = (0, FieldSet(), FieldSet())
        return unsafe Writer(base: base, capacity: min(capacity, limit))
    }

    @inline(__always)
    mutating func take(_ writer: Writer) {
        (count, present, repeated) = (writer.count, writer.present, writer.repeated)
    }

    /// The list while it is being filled: a value of its own, so that it lives in registers. Used up before the list is used
    /// again, whose room it fills.
    @safe struct Writer {
        let base: UnsafeMutablePointer<Field>
        let capacity: Int
        var count = 0
        var present = FieldSet()
        var repeated = FieldSet()
        /// A field found no room.
        var surplus = false

        @inline(__always)
        init(base: UnsafeMutablePointer<Field>, capacity: Int) { unsafe (self.base, self.capacity) = (base, capacity) }

        @inline(__always)
        mutating func append(_ field: Field) {
            guard count < capacity else {
                surplus = true
                return
            }
            unsafe (base + count).initialize(to: field)
            count &+= 1
            let bit = FieldSet(field.id)
            repeated.bits |= present.bits & bit.bits
            present.bits |= bit.bits
        }
    }

    mutating func drop(_ index: Int) {
        precondition(index >= 0 && index < count, "field index out of range")
        unsafe base[index].dropped = true
    }
}
