/// A prefix code of deflate (RFC 1951 section 3.2.2) as a table of what each next 15 bits begin with.
struct PrefixCode {
    static let lengthMax = 15
    /// Symbol and, in the low four bits, how many bits it takes; zero where no code begins so.
    private(set) var table = [UInt16](repeating: 0, count: 1 << lengthMax)

    /// - Parameter lengths: bits of each symbol's code; zero for one that does not occur.
    /// - Returns: nil where more codes are asked for than there are.
    init?(_ lengths: some Collection<UInt8>) {
        var counts = [Int](repeating: 0, count: Self.lengthMax + 1)
        for length in lengths { counts[Int(length)] += 1 }
        counts[0] = 0
        var next = [Int](repeating: 0, count: Self.lengthMax + 2)
        var code = 0
        for length in 1...Self.lengthMax {
            next[length] = code
            code += counts[length]
            if code > 1 << length { return nil }
            code <<= 1
        }
        for (symbol, length) in lengths.enumerated() where length > 0 {
            let bits = Int(length)
            var reversed = 0
            for bit in 0..<bits where next[bits] & 1 << bit != 0 { reversed |= 1 << (bits - 1 - bit) }
            next[bits] += 1
            let entry = UInt16(symbol) << 4 | UInt16(length)
            for place in stride(from: reversed, to: table.count, by: 1 << bits) { table[place] = entry }
        }
    }

    static let fixedLiterals = PrefixCode(
        (0..<288).map { $0 < 144 ? UInt8(8) : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })!
    static let fixedDistances = PrefixCode([UInt8](repeating: 5, count: 30))!
}
