import Base
import Configuration

/// Who decides whether a route's requests pass, and what is made of the answer. A handle to a record of its `Directory`.
public struct DecisionRule: Sendable {
    struct Record {
        /// What tells it from all others that a tenant has, and from what it was before a change: answers to one are none to
        /// another.
        var identity: UnsafeRawBufferPointer
        /// The request line, and `Host`.
        var start: UnsafeRawBufferPointer
        var host: UnsafeRawBufferPointer
        var port: UInt16
        var isSecure: Bool
        var passesOnError: Bool
        /// Nanoseconds.
        var timeout: UInt64
        var keepsFor: UInt64
        /// Fields of the gateway's own that tell of tokens: a client's are not shown.
        var claims: UnsafePointer<HeaderEdits.Record>
        /// Names in lower case.
        var requestFields: List<UnsafeRawBufferPointer>
        var responseFields: List<UnsafeRawBufferPointer>
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// What tells it from all others that a tenant has, and from what it was before a change.
    public var identity: UnsafeRawBufferPointer { record.pointee.identity }
    /// The request line of the question, and `Host`, each with its line end.
    public var start: UnsafeRawBufferPointer { record.pointee.start }
    /// Where it is asked: a name, or an address without brackets.
    public var host: String { String(decoding: record.pointee.host, as: UTF8.self) }
    public var port: UInt16 { record.pointee.port }
    public var isSecure: Bool { record.pointee.isSecure }
    /// Without an answer requests pass.
    public var passesOnError: Bool { record.pointee.passesOnError }
    /// Nanoseconds, for an answer.
    public var timeout: UInt64 { record.pointee.timeout }
    /// Nanoseconds for which an answer is good for the same question; zero: it is not kept.
    public var keepsFor: UInt64 { record.pointee.keepsFor }

    /// Fields that carry a token's claims, which only the gateway writes: those of a client are not shown.
    public var claims: HeaderEdits { HeaderEdits(record.pointee.claims) }

    /// Whether a field of its answer goes to the upstream, or to the client.
    /// - Parameter name: in lower case.
    public func handsOn(_ name: String) -> (toUpstream: Bool, toClient: Bool) {
        (Self.has(record.pointee.requestFields, name), Self.has(record.pointee.responseFields, name))
    }

    private static func has(_ names: List<UnsafeRawBufferPointer>, _ name: String) -> Bool {
        names.contains { $0.elementsEqual(name.utf8) }
    }

    /// - Parameter route: the name of its route's counters.
    static func make(
        _ settings: DecisionSettings, of route: String, claims: UnsafePointer<HeaderEdits.Record>, in memory: RecordMemory
    ) -> UnsafePointer<Record> {
        let address = settings.address
        func bytes(_ text: String) -> UnsafeRawBufferPointer { memory.keep(Array(text.utf8)) }
        func names(_ names: [String]) -> List<UnsafeRawBufferPointer> { memory.list(names.map { bytes($0.asciiLowercased) }) }
        let told = "\(settings.timeout) \(settings.keepsFor) \(settings.passesOnError)"
        let parts =
            [route, address.isSecure ? "https" : "http", address.authority, address.target, told] + settings.requestFields + [""]
            + settings.responseFields
        let record = Record(
            identity: bytes(parts.joined(separator: "\n") + "\n"),
            start: bytes("GET \(address.target) HTTP/1.1\r\nHost: \(address.authority)\r\n"), host: bytes(address.host),
            port: address.port, isSecure: address.isSecure, passesOnError: settings.passesOnError, timeout: settings.timeout,
            keepsFor: settings.keepsFor, claims: claims, requestFields: names(settings.requestFields),
            responseFields: names(settings.responseFields))
        return UnsafePointer(memory.keep([record]))
    }
}

/// Where copies of a route's requests go. A handle to a record of its `Directory`.
public struct MirrorRule: Sendable {
    struct Record {
        /// Index of the upstream's instance.
        var upstream: Int32
        /// Hundredths.
        var share: UInt8
        /// Bytes of a body that go along.
        var body: Int32
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// Index of the upstream's instance.
    public var upstream: Int { Int(record.pointee.upstream) }
    /// Bytes of a body that go along.
    public var body: Int { Int(record.pointee.body) }

    /// Draws lots for one request.
    public func draws(_ random: UInt64) -> Bool { UInt8(random.multipliedFullWidth(by: 100).high) < record.pointee.share }

    static func make(_ settings: MirrorSettings, upstream: Int, in memory: RecordMemory) -> UnsafePointer<Record> {
        let record = Record(upstream: Int32(upstream), share: settings.share, body: Int32(settings.body))
        return UnsafePointer(memory.keep([record]))
    }
}
