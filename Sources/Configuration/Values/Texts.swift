import Base

/// Names, paths and other text.
enum Texts {
    static let identifierMax = 63

    static func identifier(_ text: String) throws(ValueFault) -> Value {
        let bytes = text.utf8
        if bytes.isEmpty { throw .refused("an empty name") }
        if bytes.count > identifierMax { throw .refused("\(quoted(text)) is longer than \(identifierMax) bytes") }
        guard bytes.allSatisfy({ ASCII.isNameByte($0) || $0 == UInt8(ascii: ".") }) else {
            throw .refused("\(quoted(text)) is not a name: letters, digits, `-`, `_` and `.` only")
        }
        // Names become segments of paths, where `.` and `..` mean something else.
        if bytes.first == UInt8(ascii: ".") { throw .refused("a name can't begin with `.`") }
        return .text(text)
    }

    static func text(_ text: String) throws(ValueFault) -> Value {
        if text.isEmpty { throw .refused("an empty value") }
        if text.utf8.contains(where: isControl) { throw .refused("a control character in \(quoted(text))") }
        return .text(text)
    }

    static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }

    static func path(_ text: String, from folder: String) throws(ValueFault) -> Value {
        if text.isEmpty { throw .refused("an empty path") }
        if text.utf8.contains(where: isControl) { throw .refused("a control character in \(quoted(text))") }
        return .text(Path.resolve(text, from: folder))
    }
}
