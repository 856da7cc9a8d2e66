import Base
import Configuration
import Glibc
import HTTP

/// What a request must be like beside its path, for one route: all that stands here. A handle to a record of its `Directory`.
struct RequestConditions {
    struct Record {
        /// One of these; none: any.
        var methods: List<UnsafeRawBufferPointer>
        var headers: List<Condition>
        var query: List<Condition>
    }

    struct Condition {
        /// Of a field: folded, as `HeaderEdits` does.
        var name: UnsafeRawBufferPointer
        /// No base: whatever it says.
        var value: UnsafeRawBufferPointer
    }

    let record: UnsafePointer<Record>

    func hold(for head: borrowing RequestHead, _ method: UnsafeRawBufferPointer) -> Bool {
        let (methods, headers, query) = (record.pointee.methods, record.pointee.headers, record.pointee.query)
        if methods.count > 0 {
            guard methods.contains(where: { method.elementsEqual($0) }) else { return false }
        }
        for i in 0..<headers.count where !Self.has(headers[i], in: head) { return false }
        if query.count == 0 { return true }
        let text = head.query
        for i in 0..<query.count where !Self.has(query[i], in: text) { return false }
        return true
    }

    /// A field of this name, and of this value where one is wanted. Names are folded: what an application takes for the field
    /// is the field.
    private static func has(_ condition: Condition, in head: borrowing RequestHead) -> Bool {
        for i in 0..<head.fields.count {
            let name = head[head.fields[i].name]
            guard name.count == condition.name.count, name.elementsEqual(condition.name, by: { HeaderEdits.fold($0) == $1 }) else {
                continue
            }
            if condition.value.baseAddress == nil || head[head.fields[i].value].elementsEqual(condition.value) { return true }
        }
        return false
    }

    /// A parameter of this name, decoded (`application/x-www-form-urlencoded`, as the URL standard reads it).
    private static func has(_ condition: Condition, in query: UnsafeRawBufferPointer) -> Bool {
        var at = 0
        while at < query.count {
            let pair = UnsafeRawBufferPointer(rebasing: query[at..<end(of: query, from: at, at: 0x26)])
            at += pair.count + 1
            let name = pair[..<end(of: pair, from: 0, at: 0x3D)]
            guard spells(name, condition.name) else { continue }
            if condition.value.baseAddress == nil || spells(pair.dropFirst(name.count + 1), condition.value) { return true }
        }
        return false
    }

    private static func end(of bytes: UnsafeRawBufferPointer, from start: Int, at separator: Int32) -> Int {
        guard let base = bytes.baseAddress, let found = memchr(base + start, separator, bytes.count - start) else { return bytes.count }
        return UnsafeRawPointer(found) - base
    }

    /// Each route that asks for a parameter looks at all of them. Of more than these most servers leave some out, or refuse them all.
    static let parametersMax = 1000

    /// Whether a request has more parameters than are looked at.
    static func isCrowded(_ head: borrowing RequestHead) -> Bool {
        if Int(head.target.count) - Int(head.path.count) <= parametersMax { return false }
        var (left, at) = (parametersMax, 0)
        let query = head.query
        while at < query.count {
            if left == 0 { return true }
            (left, at) = (left - 1, end(of: query, from: at, at: 0x26) + 1)
        }
        return false
    }

    private static func spells(_ encoded: Slice<UnsafeRawBufferPointer>, _ wanted: UnsafeRawBufferPointer) -> Bool {
        var (at, matched) = (encoded.startIndex, 0)
        while at < encoded.endIndex {
            guard matched < wanted.count else { return false }
            var byte = encoded[at]
            if byte == 0x2B { byte = 0x20 }
            if byte == 0x25, at + 2 < encoded.endIndex, let high = ASCII.hexValue(encoded[at + 1]),
                let low = ASCII.hexValue(encoded[at + 2])
            {
                byte = high << 4 | low
                at += 2
            }
            if byte != wanted[matched] { return false }
            (at, matched) = (at + 1, matched + 1)
        }
        return matched == wanted.count
    }
}

/// So many values of a directory's memory.
struct List<Element: BitwiseCopyable>: BitwiseCopyable {
    var first: UnsafePointer<Element>
    var count: Int

    @inline(__always)
    subscript(place: Int) -> Element { first[place] }

    func contains(where test: (Element) -> Bool) -> Bool {
        for place in 0..<count where test(first[place]) { return true }
        return false
    }
}

extension RecordMemory {
    func list<Element: BitwiseCopyable>(_ values: [Element]) -> List<Element> {
        List(first: UnsafePointer(keep(values)), count: values.count)
    }
}
