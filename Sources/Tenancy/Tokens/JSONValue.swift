/// A JSON value. Texts are bytes: Swift's strings would take names for equal that are spelt differently.
enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A whole number that fits.
    case integer(Int64)
    /// Any other number, finite.
    case number(Double)
    case string([UInt8])
    case array([JSONValue])
    case object(JSONObject)

    var text: [UInt8]? { if case .string(let text) = self { text } else { nil } }
    var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
    var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }

    func isText(_ other: StaticString) -> Bool { text.map { $0.spells(other) } ?? false }
}

/// The members of a JSON object, no two of one name.
struct JSONObject: Sendable, Equatable {
    struct Member: Sendable, Equatable {
        var name: [UInt8]
        var value: JSONValue
    }
    var members: [Member] = []

    subscript(name: StaticString) -> JSONValue? { members.first { $0.name.spells(name) }?.value }
    subscript(name: [UInt8]) -> JSONValue? { members.first { $0.name == name }?.value }
}

extension [UInt8] {
    func spells(_ text: StaticString) -> Bool {
        elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
