import Base

/// The elements of a list (RFC 9110 section 5.6.1), or the parameters of one of them: a separator inside a quoted string
/// (section 5.6.4) separates nothing. Empty elements are skipped. The bytes must stay for as long as this is used.
@safe public struct QuotedList {
    private let bytes: UnsafeRawBufferPointer
    private let separator: UInt8
    private var at = 0

    /// - Parameter separator: a comma; a semicolon between parameters.
    public init(_ bytes: UnsafeRawBufferPointer, separator: UInt8 = 0x2C) {
        unsafe self.bytes = bytes
        self.separator = separator
    }

    /// The next element, without white space around it; nil at the end. A quoted string without an end has all the rest in it.
    public mutating func next() -> UnsafeRawBufferPointer? {
        while unsafe at < bytes.count {
            let first = at
            var isQuoted = false
            while unsafe at < bytes.count, unsafe isQuoted || bytes[at] != separator {
                if unsafe bytes[at] == 0x22 { isQuoted.toggle() }
                // What a backslash stands before means nothing.
                unsafe at += isQuoted && bytes[at] == 0x5C ? 2 : 1
            }
            let element = unsafe UnsafeRawBufferPointer(rebasing: bytes[first..<min(at, bytes.count)]).trimmed
            at += 1
            if unsafe !element.isEmpty { return unsafe element }
        }
        return nil
    }
}

/// One element of `Forwarded` (RFC 7239 section 4).
@safe public struct ForwardedElement {
    /// `for`
    public private(set) var node: UnsafeRawBufferPointer?
    public private(set) var proto: UnsafeRawBufferPointer?
    public private(set) var host: UnsafeRawBufferPointer?

    /// Nil for what is none: a parameter that stands twice, a name or a value that is neither token nor quoted string.
    public init?(_ element: UnsafeRawBufferPointer) {
        var parameters = unsafe QuotedList(element, separator: 0x3B)
        while let parameter = unsafe parameters.next() {
            guard let equals = unsafe parameter.firstIndex(of: 0x3D), equals > 0,
                let value = unsafe UnsafeRawBufferPointer(rebasing: parameter[(equals + 1)...]).unquoted
            else { return nil }
            let name = unsafe UnsafeRawBufferPointer(rebasing: parameter[..<equals])
            guard unsafe name.allSatisfy(ASCII.isToken) else { return nil }
            if unsafe ASCII.equalsIgnoringCase(name, "for") {
                if unsafe node != nil { return nil }
                unsafe node = unsafe value
            } else if unsafe ASCII.equalsIgnoringCase(name, "proto") {
                if unsafe proto != nil { return nil }
                unsafe proto = unsafe value
            } else if unsafe ASCII.equalsIgnoringCase(name, "host") {
                if unsafe host != nil { return nil }
                unsafe host = unsafe value
            }
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Without white space around it.
    public var trimmed: UnsafeRawBufferPointer {
        var (low, high) = (0, count)
        while low < high, unsafe self[low] == ASCII.space || self[low] == ASCII.tab { low += 1 }
        while low < high, unsafe self[high - 1] == ASCII.space || self[high - 1] == ASCII.tab { high -= 1 }
        return unsafe UnsafeRawBufferPointer(rebasing: self[low..<high])
    }

    /// What stands in the quotes, or the bytes themselves where there are none. Nil for one quote without the other, for bytes
    /// behind the closing one, and for a backslash: no address, scheme or host has one.
    public var unquoted: UnsafeRawBufferPointer? {
        let isQuoted = unsafe count >= 2 && self[0] == 0x22 && self[count - 1] == 0x22
        let inner = unsafe isQuoted ? UnsafeRawBufferPointer(rebasing: self[1..<(count - 1)]) : self
        for unsafe byte in unsafe inner where byte == 0x22 || byte == 0x5C { return nil }
        return unsafe inner
    }
}
