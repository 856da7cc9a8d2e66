/// A JSON value. Texts are bytes: Swift's strings would take names for equal that are spelt differently.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A whole number that fits.
    case integer(Int64)
    /// Any other number, finite.
    case number(Double)
    case string([UInt8])
    case array([JSONValue])
    case object(JSONObject)

    public var text: [UInt8]? { if case .string(let text) = self { text } else { nil } }
    public var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
    public var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }

    public func isText(_ other: StaticString) -> Bool { text.map { $0.spells(other) } ?? false }
}

/// The members of a JSON object, no two of one name.
public struct JSONObject: Sendable, Equatable {
    public struct Member: Sendable, Equatable {
        public var name: [UInt8]
        public var value: JSONValue
    }
    public private(set) var members: [Member] = []

    public subscript(name: StaticString) -> JSONValue? { members.first { $0.name.spells(name) }?.value }
    public subscript(name: [UInt8]) -> JSONValue? { members.first { $0.name == name }?.value }
}

extension JSONValue {
    /// Reads a whole text strictly (`JSONReader`), and refuses a name twice in an object: what two readers could read two
    /// ways is not read at all. Bounded by `Limits.jsonDepthMax` and `jsonValuesMax`.
    public init(json: [UInt8]) throws(JSONReader.Fault) {
        var values = 0
        self = try JSONReader.read(json) { reader throws(JSONReader.Fault) in try JSONValue(&reader, &values) }
    }

    fileprivate init(_ json: inout JSONReader, _ values: inout Int) throws(JSONReader.Fault) {
        values += 1
        guard values <= Limits.jsonValuesMax else { throw .tooLarge }
        switch json.peek() {
        case 0x7B: self = .object(try JSONObject(&json, &values))
        case 0x5B:
            var list: [JSONValue] = []
            try json.array { json throws(JSONReader.Fault) in list.append(try JSONValue(&json, &values)) }
            self = .array(list)
        case 0x22: self = .string(try json.string().bytes)
        case 0x74, 0x66: self = .bool(try json.bool())
        case 0x6E:
            try json.null()
            self = .null
        default:
            let number = try json.number()
            if let integer = number.integer {
                self = .integer(integer)
            } else if let double = number.double {
                self = .number(double)
            } else {
                throw .tooLarge
            }
        }
    }
}

extension JSONObject {
    fileprivate init(_ json: inout JSONReader, _ values: inout Int) throws(JSONReader.Fault) {
        var names: Set<[UInt8]> = []
        try json.object { name, json throws(JSONReader.Fault) in
            let name = name.bytes
            guard names.insert(name).inserted else { throw .duplicateName }
            members.append(Member(name: name, value: try JSONValue(&json, &values)))
        }
    }
}
