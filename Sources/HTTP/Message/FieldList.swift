/// One field line of a head: where its name and its value stand in the parsed bytes.
public struct Field: Sendable {
    public var name: ByteRange
    /// Without the white space around it.
    public var value: ByteRange
    public var id: FieldName
    /// A `Connection` field names it: it is for this connection only (RFC 9110 section 7.6.1).
    public var dropped: Bool

    @inline(__always)
    public init(id: FieldName, name: ByteRange, value: ByteRange, dropped: Bool = false) {
        (self.id, self.name, self.value, self.dropped) = (id, name, value, dropped)
    }
}

/// The fields of one head, in their order. Its room is taken once and reused for every message.
public struct FieldList: ~Copyable {
    private let base: UnsafeMutablePointer<Field>
    public let capacity: Int
    public private(set) var count = 0
    /// The known names that occur, and those that occur more than once.
    public private(set) var present = FieldSet()
    public private(set) var repeated = FieldSet()

    public init(capacity: Int) {
        self.capacity = max(capacity, 0)
        base = .allocate(capacity: max(capacity, 1))
    }

    deinit { base.deallocate() }

    public subscript(index: Int) -> Field {
        @inline(__always) get {
            precondition(index >= 0 && index < count, "field index out of range")
            return base[index]
        }
    }

    /// The first field of that name. Most names are absent, which costs one test.
    @inline(__always)
    public func first(_ id: FieldName) -> Field? {
        guard present.contains(id) else { return nil }
        for i in 0..<count where base[i].id == id { return base[i] }
        return nil
    }

    @inline(__always)
    mutating func removeAll() {
        count = 0
        present = FieldSet()
        repeated = FieldSet()
    }

    /// False when there is no room.
    @inline(__always)
    mutating func append(_ field: Field) -> Bool {
        guard count < capacity else { return false }
        (base + count).initialize(to: field)
        count &+= 1
        let bit = UInt64(1) &<< UInt64(field.id.rawValue)
        repeated.bits |= present.bits & bit
        present.bits |= bit
        return true
    }

    mutating func drop(_ index: Int) {
        precondition(index >= 0 && index < count, "field index out of range")
        base[index].dropped = true
    }
}
