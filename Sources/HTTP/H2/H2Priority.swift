import Base

/// How urgent an answer is (RFC 9218 section 4).
public struct H2Priority: Equatable, Sendable {
    /// 0 to 7, the lower the sooner.
    public var urgency: UInt8 = 3
    /// Of use in parts.
    public var isIncremental = false

    public init() {}

    /// The value of a `priority` field, or of a PRIORITY_UPDATE. What it does not say, or says wrongly, is as it always is; all
    /// of it, when it is no dictionary.
    public init(field: UnsafeRawBufferPointer) {
        var members = unsafe DictionaryField(field)
        while let (key, value) = unsafe members.next() {
            // Of two members of one name the last one holds (RFC 9651 section 4.2.2).
            if unsafe key.equals("u") {
                urgency = if case .integer(let number) = value, (0...7).contains(number) { UInt8(number) } else { 3 }
            } else if unsafe key.equals("i") {
                isIncremental = value == .boolean(true)
            }
        }
        if members.isMalformed { self = H2Priority() }
    }
}

/// Priorities of streams that are not open yet: PRIORITY_UPDATE may come in front of its request (RFC 9218 section 7.1). Takes
/// memory as it grows, and none before the first.
struct ComingPriorities {
    private struct Entry {
        var stream: UInt32
        var priority: H2Priority
    }

    /// More are not kept: they are hints.
    private static let most = 1024
    private var entries: [Entry] = []

    var count: Int { entries.count }

    /// The newest word on a stream holds.
    mutating func set(_ stream: UInt32, _ priority: H2Priority) {
        if let known = entries.firstIndex(where: { $0.stream == stream }) {
            entries[known].priority = priority
        } else if entries.count < Self.most {
            entries.append(Entry(stream: stream, priority: priority))
        }
    }

    /// The stream begins, and those with lower numbers won't any more.
    mutating func take(_ stream: UInt32) -> H2Priority? {
        if entries.isEmpty { return nil }
        let priority = entries.first { $0.stream == stream }?.priority
        entries.removeAll { $0.stream <= stream }
        return priority
    }
}
