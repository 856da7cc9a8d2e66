import Base

/// What makes a field block undecodable: the tables of both sides differ from there on, and the connection ends with
/// COMPRESSION_ERROR (RFC 9113 section 4.3).
public enum HPACKFault: Error, Equatable, Sendable {
    /// The block ends in the middle of a field.
    case cut
    /// An integer of more bytes, or larger, than any that means something here.
    case integer
    /// There is no such entry.
    case index
    case huffman
    /// A size update that stands behind a field, or is larger than allowed, or is lacking.
    case sizeUpdate
}

/// A field as the decoder has written it: `name: value` and CRLF.
public struct DecodedField: Equatable, Sendable {
    public var name: ByteRange
    public var value: ByteRange
    /// Not to be put into a table by anybody (RFC 7541 section 6.2.3).
    public var isNeverIndexed: Bool
}

/// Decodes field blocks (RFC 7541), each field in turn into the text that it would be in HTTP/1.1.
///
/// Every field is decoded, also those that nobody wants any more: the table goes on. The caller bounds the text by taking
/// back what is too much (`ByteWriter.truncate`); the room has `scratch` bytes more than what the caller keeps.
public struct HPACKDecoder: ~Copyable {
    /// A field that does not fit here is larger than the table, which it empties.
    public static let scratch = DynamicTable.sizeMax + 4

    private var table: DynamicTable
    /// What the encoder may choose: SETTINGS_HEADER_TABLE_SIZE as we sent it, once it was acknowledged.
    private var allowed: Int
    private let huffman = Huffman.shared

    /// - Parameter tableSize: SETTINGS_HEADER_TABLE_SIZE as we sent it; no more than 4096 is used.
    public init(tableSize: Int = 4096) {
        allowed = min(tableSize, DynamicTable.sizeMax)
        table = DynamicTable(limit: allowed)
    }

    /// A block while it is being read. Good as long as its bytes.
    @safe public struct Block {
        let bytes: UnsafeRawBufferPointer
        var at = 0
        /// No field has been read yet: the table may change its size.
        var isFresh = true

        public init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

        public var isAtEnd: Bool { unsafe at >= bytes.count }

        mutating func byte() throws(HPACKFault) -> UInt8 {
            guard unsafe at < bytes.count else { throw .cut }
            defer { at += 1 }
            return unsafe bytes[at]
        }

        /// Section 5.1, in as many bytes as 2^21 needs: no index, size or length is larger.
        mutating func integer(_ first: UInt8, prefix: UInt8) throws(HPACKFault) -> Int {
            let most = UInt8(truncatingIfNeeded: (1 as UInt) << prefix - 1)
            var value = Int(first & most)
            if value < Int(most) { return value }
            for shift in [0, 7, 14] {
                let next = try byte()
                value += Int(next & 0x7F) << shift
                if next & 0x80 == 0 { return value }
            }
            throw .integer
        }
    }

    /// The next field of the block, written to `out`; nil at its end. What finds no room there is lost, and `out` says so.
    public mutating func next(_ block: inout Block, to out: inout ByteWriter) throws(HPACKFault) -> DecodedField? {
        while !block.isAtEnd {
            let first = try block.byte()
            if first & 0xE0 == 0x20 {
                try updateSize(block.integer(first, prefix: 5), block)
                continue
            }
            block.isFresh = false
            return try field(first, &block, &out)
        }
        return nil
    }

    private mutating func updateSize(_ size: Int, _ block: Block) throws(HPACKFault) {
        guard block.isFresh, size <= allowed else { throw .sizeUpdate }
        table.shrink(to: size)
    }

    private mutating func field(_ first: UInt8, _ block: inout Block, _ out: inout ByteWriter) throws(HPACKFault) -> DecodedField {
        let start = out.count
        if first & 0x80 != 0 {
            let index = try block.integer(first, prefix: 7)
            return try copy(index, to: &out)
        }
        let isIndexed = first & 0x40 != 0
        let index = try block.integer(first, prefix: isIndexed ? 6 : 4)
        if index == 0 { try string(&block, &out) } else { try copyName(index, to: &out) }
        let colon = out.count
        out.append(": ")
        try string(&block, &out)
        let end = out.count
        out.append("\r\n")
        if isIndexed {
            if out.overflowed {
                table.removeAll()
            } else {
                let text = unsafe out.written
                unsafe table.add(
                    name: UnsafeRawBufferPointer(rebasing: text[start..<colon]),
                    value: UnsafeRawBufferPointer(rebasing: text[(colon + 2)..<end]))
            }
        }
        return DecodedField(
            name: ByteRange(start, colon), value: ByteRange(min(colon + 2, end), end), isNeverIndexed: first & 0xF0 == 0x10)
    }

    /// Name and value of an entry.
    private func copy(_ index: Int, to out: inout ByteWriter) throws(HPACKFault) -> DecodedField {
        guard index > 0, index <= StaticTable.count + table.count else { throw .index }
        let start = out.count
        let colon: Int
        if index <= StaticTable.count {
            let (name, value) = StaticTable.entry(index)
            out.append(name)
            colon = out.count
            out.append(": ")
            out.append(value)
        } else {
            colon = unsafe table.with(index - StaticTable.count - 1) { name, value in
                unsafe out.append(name)
                let colon = out.count
                out.append(": ")
                unsafe out.append(value)
                return colon
            }
        }
        let end = out.count
        out.append("\r\n")
        return DecodedField(name: ByteRange(start, colon), value: ByteRange(min(colon + 2, end), end), isNeverIndexed: false)
    }

    private func copyName(_ index: Int, to out: inout ByteWriter) throws(HPACKFault) {
        guard index > 0, index <= StaticTable.count + table.count else { throw .index }
        if index <= StaticTable.count { return out.append(StaticTable.entry(index).name) }
        unsafe table.with(index - StaticTable.count - 1) { name, _ in unsafe out.append(name) }
    }

    /// Section 5.2.
    private func string(_ block: inout Block, _ out: inout ByteWriter) throws(HPACKFault) {
        let first = try block.byte()
        let count = try block.integer(first, prefix: 7)
        guard unsafe count <= block.bytes.count - block.at else { throw .cut }
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: block.bytes[block.at..<(block.at + count)])
        block.at += count
        if first & 0x80 == 0 {
            unsafe out.append(bytes)
        } else if unsafe !huffman.decode(bytes, to: &out) {
            throw .huffman
        }
    }
}
