import Base

/// `#token`: a comma-separated list of tokens (RFC 9110 section 5.6.1). Empty elements are skipped, as the RFC demands,
/// and noted.
struct TokenList {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private(set) var isWellFormed = true
    private(set) var hasEmptyElements = false

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next token; nil at the end and at the first byte that does not belong in a list of tokens.
    mutating func next() -> UnsafeRawBufferPointer? {
        guard isWellFormed else { return nil }
        while true {
            skipWhitespace()
            guard at < bytes.count else {
                if endsWithComma { hasEmptyElements = true }
                return nil
            }
            guard bytes[at] == 0x2C else { break }
            hasEmptyElements = true
            at += 1
        }
        let first = at
        while at < bytes.count, ASCII.isToken(bytes[at]) { at += 1 }
        let last = at
        skipWhitespace()
        endsWithComma = at < bytes.count && bytes[at] == 0x2C
        guard last > first, at == bytes.count || endsWithComma else {
            isWellFormed = false
            return nil
        }
        if endsWithComma { at += 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[first..<last])
    }

    private var endsWithComma = false

    private mutating func skipWhitespace() {
        while at < bytes.count, bytes[at] == ASCII.space || bytes[at] == ASCII.tab { at += 1 }
    }
}
