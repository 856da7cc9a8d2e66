import Base

/// Encodes fields (RFC 7541). What comes a second time goes into a small table of the peer's, and from then on takes a byte.
public struct HPACKEncoder: ~Copyable {
    /// Bytes of the peer's table that are used: what repeats in the answers of one connection is little, and each takes as
    /// much memory here.
    public static let tableSize = 1024

    private var table = DynamicTable(limit: tableSize)
    /// Hashes of the entries, in a ring by their number; those of evicted ones are stale, and never looked at.
    private var hashes: [UInt32] = []
    private var added = 0
    /// Hashes of fields that came once.
    private var seen: [UInt32] = []
    private var lines = KnownLines()
    /// Said with the next block: the smallest size since the last one, and the one that holds (section 4.2).
    private var announced: (least: Int, now: Int)? = (tableSize, tableSize)
    private let names = StaticNames.shared
    private let huffman = Huffman.shared

    /// No table has more entries: each counts 32 bytes at least.
    private static let entriesMax = tableSize / DynamicTable.overhead
    private static let seenMax = 64

    public init() {}

    /// The peer's SETTINGS_HEADER_TABLE_SIZE; 4096 until it says otherwise.
    public mutating func take(peerTableSize size: Int) {
        let limit = min(size, Self.tableSize)
        guard limit != table.limit else { return }
        table.shrink(to: limit)
        announced = (min(limit, announced?.least ?? limit), limit)
    }

    /// At the beginning of each block.
    public mutating func begin(_ out: inout ByteWriter) {
        guard let sizes = announced else { return }
        announced = nil
        if sizes.least < sizes.now { Self.write(sizes.least, prefix: 5, 0x20, to: &out) }
        Self.write(sizes.now, prefix: 5, 0x20, to: &out)
    }

    /// - Parameters:
    ///   - name: in lower case.
    ///   - isSecret: never to be put into a table, here or further on.
    public mutating func encode(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, isSecret: Bool = false, to out: inout ByteWriter
    ) {
        let hash = unsafe FieldHash.of(name)
        let known = unsafe names.find(name, hash: hash, value: value)
        if isSecret { return unsafe literal(known.entry, name, value, prefix: 4, 0x10, &out) }
        if known.hasValue { return Self.write(known.entry, prefix: 7, 0x80, to: &out) }
        unsafe encode(name, value, hash: FieldHash.of(value, from: hash), entry: known.entry, to: &out)
    }

    /// One whose name is that of a static entry, the first of those that have it.
    mutating func encode(_ pseudo: PseudoField, _ value: UnsafeRawBufferPointer, isSecret: Bool = false, to out: inout ByteWriter) {
        if isSecret { return unsafe literal(pseudo.entries.lowerBound, value, value, prefix: 4, 0x10, &out) }
        for entry in pseudo.entries where unsafe value.equals(StaticTable.entry(entry).value) {
            return Self.write(entry, prefix: 7, 0x80, to: &out)
        }
        let entry = pseudo.entries.lowerBound
        let name = StaticTable.entry(entry).name
        // Text of the program.
        let bytes = unsafe UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        unsafe encode(bytes, value, hash: FieldHash.of(value, from: UInt32(entry)), entry: entry, to: &out)
    }

    /// - Parameters:
    ///   - hash: the same for the same field.
    ///   - entry: a static one of that name; 0: there is none.
    private mutating func encode(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, hash: UInt32, entry: Int, to out: inout ByteWriter
    ) {
        if let index = unsafe find(hash, name, value) {
            return Self.write(StaticTable.count + 1 + index, prefix: 7, 0x80, to: &out)
        }
        guard repeats(hash), name.count + value.count + DynamicTable.overhead <= table.limit else {
            return unsafe literal(entry, name, value, prefix: 4, 0, &out)
        }
        unsafe literal(entry, name, value, prefix: 6, 0x40, &out)
        unsafe table.add(name: name, value: value)
        if hashes.isEmpty { hashes = Array(repeating: 0, count: Self.entriesMax) }
        hashes[added % Self.entriesMax] = hash
        added += 1
    }

    /// A line of text whose field stands in the peer's table, and was put there from the same line. False where it is not known.
    /// - Parameter hash: of the line.
    mutating func encode(known line: UnsafeRawBufferPointer, hash: UInt32, to out: inout ByteWriter) -> Bool {
        guard let number = lines.number(hash), added - number <= table.count else { return false }
        let index = added - 1 - number
        guard unsafe table.with(index, { unsafe KnownLines.is(line, $0, $1) }) else { return false }
        Self.write(StaticTable.count + 1 + index, prefix: 7, 0x80, to: &out)
        return true
    }

    /// The same, of a line that may be known the next time.
    /// - Parameters:
    ///   - name: that of the line, in lower case.
    ///   - hash: of the line.
    mutating func encode(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, ofLine hash: UInt32, to out: inout ByteWriter
    ) {
        let before = added
        unsafe encode(name, value, to: &out)
        if added > before { lines.add(hash, number: before) }
    }

    /// Whether the field was here before; it is from now on.
    private mutating func repeats(_ hash: UInt32) -> Bool {
        if seen.isEmpty { seen = Array(repeating: 0, count: Self.seenMax) }
        let place = Int(hash) & (Self.seenMax - 1)
        if seen[place] == hash { return true }
        seen[place] = hash
        return false
    }

    private func find(_ hash: UInt32, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Int? {
        for index in 0..<table.count where hashes[(added - 1 - index) % Self.entriesMax] == hash {
            let isSame = unsafe table.with(index) { unsafe $0.same(as: name) && $1.same(as: value) }
            if isSame { return index }
        }
        return nil
    }

    private func literal(
        _ entry: Int, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, prefix: UInt8, _ kind: UInt8,
        _ out: inout ByteWriter
    ) {
        Self.write(entry, prefix: prefix, kind, to: &out)
        if entry == 0 { unsafe string(name, &out) }
        unsafe string(value, &out)
    }

    /// What is short is not worth the time that its code takes here and there.
    private static let huffmanMin = 64

    private func string(_ bytes: UnsafeRawBufferPointer, _ out: inout ByteWriter) {
        let count = unsafe bytes.count < Self.huffmanMin ? bytes.count : huffman.encodedCount(bytes)
        guard count < bytes.count else {
            Self.write(bytes.count, prefix: 7, 0, to: &out)
            return unsafe out.append(bytes)
        }
        Self.write(count, prefix: 7, 0x80, to: &out)
        unsafe huffman.encode(bytes, to: &out)
    }

    /// Section 5.1.
    private static func write(_ value: Int, prefix: UInt8, _ kind: UInt8, to out: inout ByteWriter) {
        let most = 1 << Int(prefix) - 1
        if value < most { return out.append(byte: kind | UInt8(value)) }
        out.append(byte: kind | UInt8(most))
        var rest = value - most
        while rest >= 0x80 {
            out.append(byte: UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        out.append(byte: UInt8(rest))
    }
}
