import Base

/// `#token`: a comma-separated list of tokens (RFC 9110 section 5.6.1). Empty elements are skipped, as the RFC demands,
/// and noted. Lives no longer than the bytes.
@safe struct TokenList {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private(set) var isWellFormed = true
    private(set) var hasEmptyElements = false

    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// The next token; nil at the end and at the first byte that does not belong in a list of tokens.
    mutating func next() -> UnsafeRawBufferPointer? {
        guard isWellFormed else { return nil }
        while true {
            skipWhitespace()
            guard unsafe at < bytes.count else {
                if endsWithComma { hasEmptyElements = true }
                return nil
            }
            guard unsafe bytes[at] == 0x2C else { break }
            hasEmptyElements = true
            at += 1
        }
        let first = at
        while unsafe at < bytes.count, unsafe ASCII.isToken(bytes[at]) { at += 1 }
        let last = at
        skipWhitespace()
        endsWithComma = unsafe at < bytes.count && bytes[at] == 0x2C
        guard last > first, unsafe at == bytes.count || endsWithComma else {
            isWellFormed = false
            return nil
        }
        if endsWithComma { at += 1 }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[first..<last])
    }

    private var endsWithComma = false

    private mutating func skipWhitespace() {
        while unsafe at < bytes.count, unsafe bytes[at] == ASCII.space || bytes[at] == ASCII.tab { at += 1 }
    }
}
