import Base

/// Lines of text by their hash: which of the entries that were ever put into a table was made from the line. What an answer has
/// in common with the one before costs no look at its name then. Nothing here is to be believed before it was compared.
struct KnownLines {
    /// Hash, and number of the entry.
    private var entries: [(hash: UInt32, number: Int)] = []

    /// As many as are in a table at a time, with room for few to fall together.
    private static let size = 64

    func number(_ hash: UInt32) -> Int? {
        if entries.isEmpty { return nil }
        let entry = entries[Int(hash) & (Self.size - 1)]
        return entry.hash == hash && entry.number >= 0 ? entry.number : nil
    }

    mutating func add(_ hash: UInt32, number: Int) {
        if entries.isEmpty { entries = Array(repeating: (0, -1), count: Self.size) }
        entries[Int(hash) & (Self.size - 1)] = (hash, number)
    }

    /// Whether the line is `Name: value` of that field.
    /// - Parameter name: in lower case.
    static func `is`(_ line: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard line.count == name.count + 2 + value.count, unsafe line[name.count] == 0x3A, unsafe line[name.count + 1] == ASCII.space
        else { return false }
        for i in 0..<name.count where unsafe ASCII.lowercase(line[i]) != name[i] { return false }
        return unsafe UnsafeRawBufferPointer(rebasing: line[(name.count + 2)...]).same(as: value)
    }
}

/// Pseudo-fields of a head that have entries in the static table: those that have its name.
enum PseudoField {
    case authority, method, path, scheme, status

    var entries: ClosedRange<Int> {
        switch self {
        case .authority: 1...1
        case .method: 2...3
        case .path: 4...5
        case .scheme: 6...7
        case .status: 8...14
        }
    }
}
