import Base

/// The parameters of a query, `a=1&b=2`, decoded. Nil where one has no name or is there twice, or an escape is broken.
struct QueryParameters {
    let pairs: [(name: String, value: String)]

    init?(_ query: String) {
        var pairs: [(name: String, value: String)] = []
        for part in query.utf8.split(separator: 0x26, omittingEmptySubsequences: false) {
            let equals = part.firstIndex(of: 0x3D) ?? part.endIndex
            guard let name = percentDecoded(Substring(part[..<equals])), !name.isEmpty,
                let value = percentDecoded(Substring(part[equals...].dropFirst())),
                !pairs.contains(where: { $0.name == name })
            else { return nil }
            pairs.append((name, value))
        }
        self.pairs = pairs
    }
}

/// Nil where an escape is broken or what comes out is not UTF-8. Of a path's segment also where it is empty or has a
/// slash in it.
func percentDecoded(_ text: Substring, isPathSegment: Bool = false) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    if isPathSegment, rest.isEmpty || rest.contains(0x2F) { return nil }
    while let byte = rest.popFirst() {
        guard byte == 0x25 else {
            bytes.append(byte)
            continue
        }
        guard let high = rest.popFirst().flatMap(ASCII.hexValue), let low = rest.popFirst().flatMap(ASCII.hexValue)
        else { return nil }
        bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
}
