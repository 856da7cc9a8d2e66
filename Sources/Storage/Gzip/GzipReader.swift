import Base

/// Reads a gzip file (RFC 1952, RFC 1951) from its beginning to its end, in pieces: a day of a ledger may be larger than
/// memory. Nothing beside the binary is needed to read what was compressed.
struct GzipReader {
    private let files: any FileOperations
    private let descriptor: Int32
    private let path: String

    // What comes in
    private var input = [UInt8](repeating: 0, count: 64 << 10)
    private var next = 0
    private var end = 0
    private var offset = 0
    private var bits: UInt64 = 0
    private var bitCount = 0

    // What goes out: matches look back into it
    private static let windowSize = 32 << 10
    private static let outputSize = 256 << 10
    private var output = [UInt8](repeating: 0, count: outputSize)
    private var filled = 0
    private var delivered = 0
    private var crc: UInt32 = 0
    private var size: UInt32 = 0

    init(_ files: any FileOperations, _ descriptor: Int32, path: String) {
        (self.files, self.descriptor, self.path) = (files, descriptor, path)
    }

    /// Hands out what the file holds, piece by piece; the bytes are gone after the call. `body` returns false to stop.
    /// What was handed out before an error may be wrong: the checksum stands at the end.
    mutating func read(_ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) {
        // Files may have been put behind one another: they are one.
        while try hasMore() {
            try header()
            (crc, size) = (0, 0)
            while true {
                let isLast = try take(1) == 1
                switch try take(2) {
                case 0: try unsafe stored(body)
                case 1: try unsafe compressed(.fixedLiterals, .fixedDistances, body)
                case 2:
                    let (literals, distances) = try codes()
                    try unsafe compressed(literals, distances, body)
                default: throw damaged
                }
                if isStopped { return }
                if isLast { break }
            }
            try unsafe deliver(body)
            if isStopped { return }
            _ = try take(bitCount % 8)
            let (sum, count) = (try take(32), try take(32))
            guard sum == UInt64(crc), count == UInt64(size) else { throw damaged }
        }
    }
    private var isStopped = false

    private var damaged: StorageFault { .damaged("is no whole gzip file", path: path) }

    // MARK: Bits

    private mutating func byte() throws(StorageFault) -> UInt8 {
        if next == end {
            end = try files.read(descriptor, into: &input, 0..<input.count, at: offset)
            (next, offset) = (0, offset + end)
            if end == 0 { throw damaged }
        }
        defer { next += 1 }
        return input[next]
    }

    private mutating func hasMore() throws(StorageFault) -> Bool {
        if bitCount >= 8 || next < end { return true }
        end = try files.read(descriptor, into: &input, 0..<input.count, at: offset)
        (next, offset) = (0, offset + end)
        return end > 0
    }

    private mutating func take(_ count: Int) throws(StorageFault) -> UInt64 {
        while bitCount < count {
            bits |= UInt64(try byte()) << UInt64(bitCount)
            bitCount += 8
        }
        let value = bits & (1 << UInt64(count) - 1)
        bits >>= UInt64(count)
        bitCount -= count
        return value
    }

    private mutating func symbol(_ code: borrowing PrefixCode) throws(StorageFault) -> Int {
        while true {
            let entry = code.table[Int(bits & 0x7FFF)]
            let length = Int(entry & 15)
            if length > 0, length <= bitCount {
                bits >>= UInt64(length)
                bitCount -= length
                return Int(entry >> 4)
            }
            // No code begins so, whatever follows.
            if bitCount >= PrefixCode.lengthMax { throw damaged }
            bits |= UInt64(try byte()) << UInt64(bitCount)
            bitCount += 8
        }
    }

    // MARK: Frame

    private mutating func header() throws(StorageFault) {
        guard try take(16) == 0x8B1F, try take(8) == 8 else { throw damaged }
        let flags = try take(8)
        guard flags & 0xE0 == 0 else { throw damaged }
        for _ in 0..<6 { _ = try take(8) }
        if flags & 4 != 0 {
            for _ in 0..<(try take(16)) { _ = try take(8) }
        }
        // Name and comment, each with a zero behind it.
        for flag in [UInt64(8), 16] where flags & flag != 0 {
            while try take(8) != 0 {}
        }
        if flags & 2 != 0 { _ = try take(16) }
    }

    // MARK: Blocks

    private mutating func stored(_ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) {
        _ = try take(bitCount % 8)
        let count = try take(16)
        guard try take(16) == count ^ 0xFFFF else { throw damaged }
        for _ in 0..<count {
            try unsafe put(UInt8(try take(8)), body)
            if isStopped { return }
        }
    }

    private static let order: [Int] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    private mutating func codes() throws(StorageFault) -> (PrefixCode, PrefixCode) {
        let (literals, distances, count) = (Int(try take(5)) + 257, Int(try take(5)) + 1, Int(try take(4)) + 4)
        guard literals <= 286, distances <= 30 else { throw damaged }
        var lengths = [UInt8](repeating: 0, count: 19)
        for place in Self.order.prefix(count) { lengths[place] = UInt8(try take(3)) }
        guard let code = PrefixCode(lengths) else { throw damaged }
        var all: [UInt8] = []
        while all.count < literals + distances {
            let symbol = try symbol(code)
            switch symbol {
            case 0...15: all.append(UInt8(symbol))
            case 16:
                guard let last = all.last else { throw damaged }
                all += repeatElement(last, count: Int(try take(2)) + 3)
            case 17: all += repeatElement(0, count: Int(try take(3)) + 3)
            default: all += repeatElement(0, count: Int(try take(7)) + 11)
            }
        }
        guard all.count == literals + distances, all[256] > 0, let first = PrefixCode(all[..<literals]),
            let second = PrefixCode(all[literals...])
        else { throw damaged }
        return (first, second)
    }

    private static let lengths: [(base: Int, extra: Int)] = [
        (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1), (19, 2),
        (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4), (115, 4), (131, 5),
        (163, 5), (195, 5), (227, 5), (258, 0),
    ]
    private static let distances: [(base: Int, extra: Int)] = [
        (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4), (49, 4), (65, 5),
        (97, 5), (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8), (1025, 9), (1537, 9), (2049, 10),
        (3073, 10), (4097, 11), (6145, 11), (8193, 12), (12289, 12), (16385, 13), (24577, 13),
    ]

    private mutating func compressed(
        _ literals: borrowing PrefixCode, _ distanceCode: borrowing PrefixCode, _ body: (UnsafeRawBufferPointer) -> Bool
    ) throws(StorageFault) {
        while !isStopped {
            let literal = try symbol(literals)
            if literal < 256 {
                try unsafe put(UInt8(literal), body)
                continue
            }
            if literal == 256 { return }
            guard literal - 257 < Self.lengths.count else { throw damaged }
            let length = Self.lengths[literal - 257]
            let count = length.base + Int(try take(length.extra))
            let place = try symbol(distanceCode)
            guard place < Self.distances.count else { throw damaged }
            let distance = Self.distances[place].base + Int(try take(Self.distances[place].extra))
            for _ in 0..<count {
                guard distance <= filled else { throw damaged }
                try unsafe put(output[filled - distance], body)
                if isStopped { return }
            }
        }
    }

    // MARK: Output

    private mutating func put(_ byte: UInt8, _ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) {
        if filled == output.count {
            try unsafe deliver(body)
            // The two parts do not overlap: the room is eight windows large.
            unsafe output.withUnsafeMutableBytes { room in
                unsafe room.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: room[(Self.outputSize - Self.windowSize)...]))
            }
            (filled, delivered) = (Self.windowSize, Self.windowSize)
        }
        output[filled] = byte
        filled += 1
    }

    private mutating func deliver(_ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) {
        if isStopped || delivered == filled { return }
        let goesOn = unsafe output.withUnsafeBytes { room in
            let piece = unsafe UnsafeRawBufferPointer(rebasing: room[delivered..<filled])
            crc = unsafe CRC32.checksum(piece, after: crc)
            return unsafe body(piece)
        }
        size &+= UInt32(truncatingIfNeeded: filled - delivered)
        delivered = filled
        if !goesOn { isStopped = true }
    }
}
