import Base

/// The Huffman code of RFC 7541, Appendix B.
///
/// It is canonical: codes of one length follow each other in the order of their symbols, so the lengths tell all of it. To
/// decode, four bits at a time walk an automaton whose states are the inner nodes of the code's tree; no code is shorter
/// than five bits, so that a step ends at most one symbol. Immutable; one for all connections.
@safe public final class Huffman: Sendable {
    public static let shared = Huffman()

    /// Of the symbols 0 to 255, and of the one that ends a string and never stands in one.
    private static let lengths: [UInt8] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
        6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
        13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
        30,
    ]
    private static let end = 256

    /// What four bits do to a state: the next one, and the symbol that they end.
    private struct Step {
        var next: UInt8 = 0
        var symbol: UInt8 = 0
        var hasSymbol = false
        /// A string may end here: nothing is open but the first bits of the end symbol, fewer than eight (section 5.2).
        var mayEnd = false
        /// The end symbol itself: a decoding error.
        var isError = false
    }

    private struct Code {
        var bits: UInt32
        var count: UInt8
    }

    // Both are filled here and never written again; every index is a state of 256 with four bits, or a byte.
    private nonisolated(unsafe) let steps: UnsafePointer<Step>
    private nonisolated(unsafe) let codes: UnsafePointer<Code>

    private init() {
        let codes = Self.canonicalCodes()
        let steps = Self.automaton(codes)
        unsafe self.codes = Self.kept(codes)
        unsafe self.steps = Self.kept(steps)
    }

    /// For the rest of the process.
    private static func kept<Element>(_ elements: [Element]) -> UnsafePointer<Element> {
        let room = UnsafeMutablePointer<Element>.allocate(capacity: elements.count)
        unsafe room.initialize(from: elements, count: elements.count)
        return unsafe UnsafePointer(room)
    }

    private static func canonicalCodes() -> [Code] {
        var codes = [Code](repeating: Code(bits: 0, count: 0), count: lengths.count)
        var (next, length): (UInt32, UInt8) = (0, 0)
        for symbol in lengths.indices.sorted(by: { (lengths[$0], $0) < (lengths[$1], $1) }) {
            next <<= UInt32(lengths[symbol] - length)
            length = lengths[symbol]
            codes[symbol] = Code(bits: next, count: length)
            next += 1
        }
        return codes
    }

    private static func automaton(_ codes: [Code]) -> [Step] {
        /// A child is an inner node (its number) or a leaf (-1 - symbol).
        var children: [[Int]] = [[0, 0]]
        // Inner nodes that only ones lead to, as the end symbol begins, with their depth.
        var allOnes = [0: 0]
        for (symbol, code) in codes.enumerated() {
            var node = 0
            for place in stride(from: Int(code.count) - 1, through: 0, by: -1) {
                let bit = Int(code.bits >> UInt32(place) & 1)
                if place == 0 {
                    children[node][bit] = -1 - symbol
                } else {
                    if children[node][bit] == 0 {
                        children.append([0, 0])
                        children[node][bit] = children.count - 1
                        if bit == 1, let depth = allOnes[node] { allOnes[children.count - 1] = depth + 1 }
                    }
                    node = children[node][bit]
                }
            }
        }
        precondition(children.count == 256, "the code has 256 inner nodes")
        return children.indices.flatMap { state in
            (0..<16).map { bits in
                var step = Step()
                var node = state
                for place in [3, 2, 1, 0] {
                    let child = children[node][bits >> place & 1]
                    if child >= 0 {
                        node = child
                        continue
                    }
                    node = 0
                    if -1 - child == end { step.isError = true } else { (step.symbol, step.hasSymbol) = (UInt8(-1 - child), true) }
                }
                step.next = UInt8(node)
                step.mayEnd = allOnes[node].map { $0 < 8 } ?? false
                return step
            }
        }
    }

    /// Writes what the string stands for. False when it is malformed; what finds no room is the writer's to tell.
    public func decode(_ bytes: UnsafeRawBufferPointer, to out: inout ByteWriter) -> Bool {
        var state = 0
        var mayEnd = true
        for unsafe byte in unsafe bytes {
            let high = unsafe steps[state << 4 | Int(byte >> 4)]
            if high.hasSymbol { out.append(byte: high.symbol) }
            let low = unsafe steps[Int(high.next) << 4 | Int(byte & 15)]
            if low.hasSymbol { out.append(byte: low.symbol) }
            if high.isError || low.isError { return false }
            (state, mayEnd) = (Int(low.next), low.mayEnd)
        }
        return mayEnd
    }

    /// Bytes that the encoded string takes.
    public func encodedCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        var bits = 0
        for unsafe byte in unsafe bytes { bits += unsafe Int(codes[Int(byte)].count) }
        return (bits + 7) / 8
    }

    public func encode(_ bytes: UnsafeRawBufferPointer, to out: inout ByteWriter) {
        var (pending, count): (UInt64, UInt64) = (0, 0)
        for unsafe byte in unsafe bytes {
            let code = unsafe codes[Int(byte)]
            // At most 30 bits join the seven that are left.
            pending = pending << UInt64(code.count) | UInt64(code.bits)
            count += UInt64(code.count)
            while count >= 8 {
                count -= 8
                out.append(byte: UInt8(truncatingIfNeeded: pending >> count))
            }
        }
        // The rest of the last byte is the beginning of the end symbol: ones.
        if count > 0 { out.append(byte: UInt8(truncatingIfNeeded: pending << (8 - count)) | UInt8(0xFF >> count)) }
    }
}
