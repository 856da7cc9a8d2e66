import Base

struct Token {
    enum Kind { case word, semicolon, open, close, end }
    var kind: Kind
    var word: Word
}

/// Takes the bytes of one file apart into words, `;`, `{` and `}`. It looks at each byte once, and a bounded number of
/// bytes ahead.
struct Lexer {
    private let bytes: [UInt8]
    private let file: UInt32
    private let diagnostics: DiagnosticCollector
    private var offset = 0
    private var line = 1
    private var lineStart = 0
    /// UTF-8 continuation bytes so far on this line: columns count characters.
    private var continuations = 0
    private var isFirstOnLine = true
    /// A NUL was met: what follows is not looked at, and whatever is missing is not the writer's fault.
    private(set) var isBinary = false
    private(set) var lineStarts: [UInt32]

    /// `{namespace}` in a word is a placeholder; a longer name than this is none.
    private static let placeholderMax = 40

    init(_ bytes: [UInt8], file: Int, diagnostics: DiagnosticCollector) {
        (self.bytes, self.file, self.diagnostics) = (bytes, UInt32(clamping: file), diagnostics)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { offset = 3 }
        lineStart = offset
        lineStarts = [UInt32(offset)]
    }

    private var column: Int { offset - lineStart - continuations + 1 }

    mutating func next() -> Token {
        skipSpace()
        guard offset < bytes.count else { return punctuation(.end, length: 0) }
        switch bytes[offset] {
        case UInt8(ascii: ";"): return punctuation(.semicolon, length: 1)
        case UInt8(ascii: "}"): return punctuation(.close, length: 1)
        case UInt8(ascii: "{") where placeholderLength() == nil: return punctuation(.open, length: 1)
        case UInt8(ascii: "\""): return quotedWord()
        default: return bareWord()
        }
    }

    private mutating func punctuation(_ kind: Token.Kind, length: Int) -> Token {
        var word = Word("", file: file, line: line, column: column, length: length)
        word.isFirstOnLine = isFirstOnLine
        isFirstOnLine = false
        offset += length
        return Token(kind: kind, word: word)
    }

    private mutating func skipSpace() {
        while offset < bytes.count {
            switch bytes[offset] {
            case ASCII.lf:
                newLine()
            case ASCII.space, ASCII.tab, ASCII.cr:
                offset += 1
            case UInt8(ascii: "#"):
                while offset < bytes.count, bytes[offset] != ASCII.lf {
                    if bytes[offset] & 0xC0 == 0x80 { continuations += 1 }
                    offset += 1
                }
            default:
                return
            }
        }
    }

    private mutating func newLine() {
        offset += 1
        line += 1
        (lineStart, continuations, isFirstOnLine) = (offset, 0, true)
        lineStarts.append(UInt32(truncatingIfNeeded: offset))
    }

    /// The length of a `{name}` at `offset`, nil where something else stands there.
    private func placeholderLength() -> Int? {
        var at = offset + 1
        let last = min(bytes.count, at + Self.placeholderMax)
        while at < last, ASCII.isAlpha(bytes[at]) || ASCII.isDigit(bytes[at]) || bytes[at] == UInt8(ascii: "_") {
            at += 1
        }
        guard at > offset + 1, at < last, bytes[at] == UInt8(ascii: "}") else { return nil }
        return at + 1 - offset
    }

    private mutating func bareWord() -> Token {
        let (start, column, first) = (offset, self.column, isFirstOnLine)
        var isBroken = false
        var quotedPart: [UInt8]?
        var bareEnd = offset
        scan: while offset < bytes.count {
            let byte = bytes[offset]
            switch byte {
            case ASCII.space, ASCII.tab, ASCII.cr, ASCII.lf, UInt8(ascii: ";"), UInt8(ascii: "}"):
                break scan
            case UInt8(ascii: "{"):
                guard let length = placeholderLength() else { break scan }
                offset += length
            case UInt8(ascii: "\""):
                bareEnd = offset
                if bytes[offset - 1] != UInt8(ascii: "=") {
                    fault("a quote can only stand where a value begins", &isBroken)
                }
                quotedPart = quotedBytes(&isBroken)
                break scan
            case 0:
                binary()
                isBroken = true
                break scan
            case 0x01..<0x20, 0x7F:
                fault("a control character (\(hex(byte)))", &isBroken)
                offset += 1
            default:
                if byte & 0xC0 == 0x80 { continuations += 1 }
                offset += 1
            }
        }
        if quotedPart == nil { bareEnd = min(offset, bytes.count) }
        let content = quotedPart.map { bytes[start..<bareEnd] + $0[...] } ?? bytes[start..<bareEnd]
        return word(content, line: line, column: column, first: first, isQuoted: false, isBroken: isBroken)
    }

    private mutating func quotedWord() -> Token {
        let (column, first) = (self.column, isFirstOnLine)
        var isBroken = false
        let content = quotedBytes(&isBroken)
        return word(content[...], line: line, column: column, first: first, isQuoted: true, isBroken: isBroken)
    }

    private mutating func word(
        _ content: ArraySlice<UInt8>, line: Int, column: Int, first: Bool, isQuoted: Bool, isBroken: Bool
    ) -> Token {
        isFirstOnLine = false
        let end = isBinary ? column + 1 : self.column
        var isBroken = isBroken
        let text: String
        if content.allSatisfy({ $0 < 0x80 }) {
            text = String(decoding: content, as: UTF8.self)
        } else if let valid = String(validating: content, as: UTF8.self) {
            text = valid
        } else {
            text = String(decoding: content, as: UTF8.self)
            if !isBroken {
                diagnostics.error(
                    at: Location(file: Int(file), line: line, column: column), length: end - column,
                    "this is not UTF-8 text")
            }
            isBroken = true
        }
        if !isQuoted, !isBroken, let fault = invisible(text) {
            diagnostics.error(
                at: Location(file: Int(file), line: line, column: column), length: end - column, fault)
            isBroken = true
        }
        var word = Word(text, file: file, line: line, column: column, length: max(1, end - column))
        (word.isQuoted, word.isFirstOnLine, word.isBroken) = (isQuoted, first, isBroken)
        return Token(kind: .word, word: word)
    }

    /// What looks like a space or a quote and is none: text that was copied from a page or a letter.
    private func invisible(_ text: String) -> String? {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return nil }
        for scalar in text.unicodeScalars where scalar.value >= 0x80 {
            switch scalar.properties.generalCategory {
            case .initialPunctuation, .finalPunctuation:
                return "\(scalar) is not a quote here: write `\"`"
            case .format, .spaceSeparator, .lineSeparator, .paragraphSeparator, .control:
                return
                    "an invisible character (U+\(String(scalar.value, radix: 16, uppercase: true))): "
                    + "write a space, or quote the value"
            default: continue
            }
        }
        return nil
    }

    /// From an opening quote to the closing one. A quote that is not closed on its line ends at the first `;`, so that
    /// only this value is lost.
    private mutating func quotedBytes(_ isBroken: inout Bool) -> [UInt8] {
        let opening = Location(file: Int(file), line: line, column: column)
        var content: [UInt8] = []
        var firstSemicolon: (offset: Int, continuations: Int)?
        offset += 1
        while offset < bytes.count {
            let byte = bytes[offset]
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                if offset < bytes.count, !endsWord(bytes[offset]) {
                    fault("a space is missing after the closing quote", &isBroken)
                }
                return content
            case UInt8(ascii: "\\"):
                if let meant = Self.meaning(ofEscaped: offset + 1 < bytes.count ? bytes[offset + 1] : 0) {
                    content.append(meant)
                    offset += 2
                } else {
                    fault("`\\` in quotes stands before `\"`, `\\`, `{`, `n`, `r` or `t` only", &isBroken, suggestion: "write `\\\\`")
                    offset += 1
                }
            case 0:
                binary()
                isBroken = true
                return content
            case ASCII.lf:
                return unclosed(opening, firstSemicolon, content, &isBroken)
            default:
                if byte == UInt8(ascii: ";"), firstSemicolon == nil { firstSemicolon = (offset, continuations) }
                if byte & 0xC0 == 0x80 { continuations += 1 }
                content.append(byte)
                offset += 1
            }
        }
        return unclosed(opening, firstSemicolon, content, &isBroken)
    }

    private static func meaning(ofEscaped byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): byte
        case UInt8(ascii: "{"): Word.escapedBraceByte
        case UInt8(ascii: "n"): ASCII.lf
        case UInt8(ascii: "r"): ASCII.cr
        case UInt8(ascii: "t"): ASCII.tab
        default: nil
        }
    }

    private mutating func unclosed(
        _ opening: Location, _ semicolon: (offset: Int, continuations: Int)?, _ content: [UInt8], _ isBroken: inout Bool
    ) -> [UInt8] {
        if !isBroken { diagnostics.error(at: opening, "this quote is not closed on its line") }
        isBroken = true
        if let semicolon { (offset, continuations) = semicolon }
        return content
    }

    private func endsWord(_ byte: UInt8) -> Bool {
        switch byte {
        case ASCII.space, ASCII.tab, ASCII.cr, ASCII.lf, UInt8(ascii: ";"), UInt8(ascii: "{"), UInt8(ascii: "}"),
            UInt8(ascii: "#"), 0:
            true
        default: false
        }
    }

    /// Reports the byte at `offset`, once a word.
    private func fault(_ message: @autoclosure () -> String, _ isBroken: inout Bool, suggestion: String? = nil) {
        if !isBroken {
            diagnostics.error(
                at: Location(file: Int(file), line: line, column: column), message(), suggestion: suggestion)
        }
        isBroken = true
    }

    private mutating func binary() {
        diagnostics.error(
            at: Location(file: Int(file), line: line, column: column),
            "a NUL byte: this is not a text file, and the rest of it is not read")
        isBinary = true
        offset = bytes.count
    }

    private func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return "0x" + (digits.count < 2 ? "0" : "") + digits
    }
}
