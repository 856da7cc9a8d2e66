import Base
import Configuration

/// Who is behind an API key, and what that lets him do. A handle to a record of its `Directory`.
public struct KeyConsumer {
    struct Record {
        var name: UnsafeRawBufferPointer
        var roles: UnsafeRawBufferPointer
        var scopes: UnsafeRawBufferPointer
    }

    let record: UnsafePointer<Record>

    /// The key's name; empty where it has none.
    public var name: UnsafeRawBufferPointer { record.pointee.name }
    /// Names with commas between.
    public var roles: UnsafeRawBufferPointer { record.pointee.roles }
    public var scopes: UnsafeRawBufferPointer { record.pointee.scopes }
}

/// The consumers behind all API keys of one directory, by the keys' places.
struct KeyConsumers: Sendable {
    private nonisolated(unsafe) let records: UnsafePointer<KeyConsumer.Record>?

    /// Nothing is kept where no key has a name or gives anything.
    init(_ settings: [TenantSettings], in memory: RecordMemory) {
        let says = settings.contains { $0.keys.contains { $0.name != nil || !$0.roles.isEmpty || !$0.scopes.isEmpty } }
        guard says else {
            records = nil
            return
        }
        let nothing = memory.keep([])
        func bytes(_ text: String) -> UnsafeRawBufferPointer { text.isEmpty ? nothing : memory.keep(Array(text.utf8)) }
        var grants: [[String]: UnsafeRawBufferPointer] = [:]
        func list(_ names: [String]) -> UnsafeRawBufferPointer {
            if let known = grants[names] { return known }
            let kept = bytes(names.joined(separator: ","))
            grants[names] = kept
            return kept
        }
        let all = settings.flatMap {
            $0.keys.map { KeyConsumer.Record(name: bytes($0.name ?? ""), roles: list($0.roles), scopes: list($0.scopes)) }
        }
        records = UnsafePointer(memory.keep(all))
    }

    @inline(__always)
    subscript(position: Int) -> KeyConsumer? { records.map { KeyConsumer(record: $0 + position) } }
}

/// What credentials say, in fields towards upstreams.
public enum FieldText {
    /// Bytes; longer ones are not passed on.
    public static let sizeMax = 1024

    /// Whether it can be said in a field (RFC 9110 section 5.5).
    public static func isSafe(_ text: [UInt8]) -> Bool {
        text.allSatisfy { $0 >= 0x20 && $0 != 0x7F } && text.first != 0x20 && text.last != 0x20
    }
}

/// Names of roles and scopes that claims give.
enum ClaimedNames {
    /// So much is passed on to upstreams; of more, nothing is given at all.
    private static let sizeMax = 4096

    /// A list of texts, or one text with commas or spaces between its names. Names with commas between; empty where it is neither,
    /// or a name has something in it that no name has.
    static func list(_ value: JSONValue?) -> [UInt8] {
        var names: [[UInt8]] = []
        switch value {
        case .string(let text): names = text.split { $0 == 0x20 || $0 == 0x2C }.map(Array.init)
        case .array(let list):
            for item in list {
                guard case .string(let name) = item else { return [] }
                names.append(name)
            }
        default: return []
        }
        // What a name of the configuration may be made of (RFC 6749 section 3.3), and no comma.
        let areNames = names.allSatisfy { name in
            !name.isEmpty && name.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C && $0 != 0x2C }
        }
        let list = areNames ? Array(names.joined(separator: [0x2C])) : []
        return list.count <= sizeMax ? list : []
    }
}
