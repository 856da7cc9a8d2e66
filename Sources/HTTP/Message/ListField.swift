import Base

/// All lines of one field as one list (RFC 9110 section 5.3), read from its end: what stands there was written last, by
/// somebody who is known, and nothing that stands in front of it changes what it says. Good as long as the head.
@safe public struct ListField {
    /// Where an element begins.
    public struct Place {
        fileprivate var line = 0
        fileprivate var at = 0

        public init() {}

        fileprivate init(line: Int, at: Int) { (self.line, self.at) = (line, at) }
    }

    private let name: FieldName
    /// Commas in quoted strings separate nothing (RFC 9110 section 5.6.4). The fields of the `X-Forwarded` family have no quotes.
    private let hasQuotes: Bool
    /// The line that is being read, and those in front of it are still to come.
    private var line: Int
    private var bytes = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// What stands from here on was read.
    private var at = 0
    /// Where the element that came last begins.
    public private(set) var place = Place()

    public init(_ name: FieldName, in head: borrowing RequestHead) {
        (self.name, hasQuotes, line) = (name, name == .forwarded, head.fields.count)
    }

    /// The element in front of the last one, without white space around it; nil when there is none. Each call gets the same head.
    public mutating func next(_ head: borrowing RequestHead) -> UnsafeRawBufferPointer? {
        while true {
            while at > 0 {
                let first = start(before: at)
                let element = unsafe UnsafeRawBufferPointer(rebasing: bytes[first..<at]).trimmed
                place = Place(line: line, at: first)
                // The comma in front is done with, too.
                at = max(first - 1, 0)
                if unsafe !element.isEmpty { return unsafe element }
            }
            repeat { line -= 1 } while line >= 0 && head.fields[line].id != name
            guard line >= 0 else {
                line = 0
                return nil
            }
            unsafe bytes = head[head.fields[line].value]
            unsafe at = bytes.count
        }
    }

    /// Behind the comma in front of the element that ends there. A string whose beginning is not found has all the rest in it.
    private func start(before end: Int) -> Int {
        var isQuoted = false
        var first = end
        while first > 0 {
            let byte = unsafe bytes[first - 1]
            if byte == 0x2C, !isQuoted { return first }
            first -= 1
            if byte == 0x22, hasQuotes, !(isQuoted && isEscaped(first)) { isQuoted.toggle() }
        }
        return 0
    }

    /// An odd number of backslashes stands in front.
    private func isEscaped(_ place: Int) -> Bool {
        var first = place
        while first > 0, unsafe bytes[first - 1] == 0x5C { first -= 1 }
        return (place - first) % 2 == 1
    }

    /// The elements from a place on, in their order; each of them came from `next`.
    public func each(from place: Place, in head: borrowing RequestHead, _ body: (UnsafeRawBufferPointer) -> Void) {
        var from = place.at
        for line in place.line..<head.fields.count where head.fields[line].id == name {
            let value = unsafe head[head.fields[line].value]
            let rest = unsafe UnsafeRawBufferPointer(rebasing: value[from...])
            if hasQuotes {
                var list = unsafe QuotedList(rest)
                while let element = unsafe list.next() { unsafe body(element) }
            } else {
                for unsafe part in unsafe rest.split(separator: 0x2C) {
                    let element = unsafe UnsafeRawBufferPointer(rebasing: part).trimmed
                    if unsafe !element.isEmpty { unsafe body(element) }
                }
            }
            from = 0
        }
    }

    /// The element that has so many behind it, or the first one; nil where there is none.
    public static func element(of name: FieldName, before behind: Int, in head: borrowing RequestHead) -> UnsafeRawBufferPointer? {
        guard head.fields.present.contains(name) else { return nil }
        var list = ListField(name, in: head)
        var found: UnsafeRawBufferPointer?
        for _ in 0...behind {
            guard let element = unsafe list.next(head) else { break }
            unsafe found = unsafe element
        }
        return unsafe found
    }
}
