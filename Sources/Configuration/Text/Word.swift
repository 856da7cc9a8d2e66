import Base

/// A name or a value as it stands in a file. Packed: a large configuration has millions of them.
struct Word {
    /// Without quotes and escapes.
    var text: String
    private let file: UInt32
    private let line: UInt32
    private let column: UInt32
    private let columns: UInt32
    /// It began with a quote, so it is never read as an option, a secret or a directive's name.
    var isQuoted = false
    /// Nothing but white space stands in front of it on its line.
    var isFirstOnLine = false
    /// The lexer had something to say about it: it is not judged again.
    var isBroken = false

    /// What stands in `text` for a `{` behind a backslash: it begins no placeholder. Where there are none it is read as a brace.
    static let escapedBraceByte: UInt8 = 1
    static let escapedBrace: Character = "\u{1}"

    init(_ text: String, file: UInt32, line: Int, column: Int, length: Int) {
        (self.text, self.file) = (text, file)
        self.line = UInt32(clamping: line)
        self.column = UInt32(clamping: column)
        columns = UInt32(clamping: length)
    }

    var location: Location { Location(file: Int(file), line: Int(line), column: Int(column)) }
    /// Columns, with quotes.
    var length: Int { Int(columns) }
    /// The first column behind it.
    var end: Location { Location(file: Int(file), line: Int(line), column: Int(column) + Int(columns)) }
    var fileIndex: Int { Int(file) }
}

extension Word {
    /// What stands before the `=` of an option; nil where this is no option.
    var optionName: Substring? {
        guard !isQuoted, let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")), equals > text.utf8.startIndex else {
            return nil
        }
        let name = text.utf8[..<equals]
        return name.allSatisfy { ASCII.isAlpha($0) || $0 == UInt8(ascii: "_") } ? Substring(name) : nil
    }

    var optionValue: String {
        guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) else { return text }
        return String(text.utf8[equals...].dropFirst()) ?? text
    }
}
