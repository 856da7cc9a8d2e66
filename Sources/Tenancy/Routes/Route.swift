import Base
import Configuration

/// What requests get that a route is about. A handle to a record of its `Directory`, good as long as that lives.
public struct Route: Sendable, Equatable {
    struct Record: Hashable {
        /// nil: it holds for whatever comes there.
        var conditions: UnsafePointer<RequestConditions.Record>?
        /// nil: everybody may.
        var requirements: UnsafePointer<Requirements.Record>?
        /// Of the settings' routes; -1 is what no route is about.
        var number: Int32
        /// -1 when the tenant has none here.
        var upstream: Int32
        /// Zero is the upstream's own.
        var responseTimeout: UInt64
        /// `.max` is without limit.
        var maxBody: UInt64
        var methods: UInt8
        var isStrict: Bool
        /// nil: an open one.
        var door: UnsafePointer<Door.Record>?
        /// nil: they go to its upstream as they came.
        var way: UnsafePointer<Way.Record>?
        /// nil: requests are forwarded, and that is all.
        var acts: UnsafePointer<RouteActs.Record>?
        var requestEdits: UnsafePointer<HeaderEdits.Record>
        var responseEdits: UnsafePointer<HeaderEdits.Record>
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    @inline(__always)
    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// Which of the settings' routes it is; nil is what no route is about.
    @inline(__always)
    public var number: Int? { record.pointee.number < 0 ? nil : Int(record.pointee.number) }
    /// Index of the upstream's instance; nil when the tenant has none here.
    @inline(__always)
    public var upstream: Int? { record.pointee.upstream < 0 ? nil : Int(record.pointee.upstream) }
    /// Nanoseconds; nil is the upstream's own.
    @inline(__always)
    public var responseTimeout: UInt64? { record.pointee.responseTimeout == 0 ? nil : record.pointee.responseTimeout }
    /// Bytes; nil is without limit.
    @inline(__always)
    public var maxBody: UInt64? { record.pointee.maxBody == .max ? nil : record.pointee.maxBody }
    /// A request must prove one of these; empty: the host is enough.
    @inline(__always)
    public var methods: CredentialSet { CredentialSet(rawValue: record.pointee.methods) }
    /// Paths that some servers read in another way are refused.
    @inline(__always)
    public var isStrict: Bool { record.pointee.isStrict }
    /// What is looked at before credentials; nil: nothing.
    @inline(__always)
    public var door: Door? { record.pointee.door.map(Door.init) }
    /// What it does beside forwarding; nil: nothing.
    @inline(__always)
    public var acts: RouteActs? { record.pointee.acts.map(RouteActs.init) }
    /// What its consumer must have; nil: nothing.
    @inline(__always)
    public var requirements: Requirements? { record.pointee.requirements.map(Requirements.init) }
    /// Where else its requests go, and under which name; nil: nowhere, and as they came.
    @inline(__always)
    public var way: Way? { record.pointee.way.map(Way.init) }
    @inline(__always)
    public var requestEdits: HeaderEdits { HeaderEdits(record.pointee.requestEdits) }
    @inline(__always)
    public var responseEdits: HeaderEdits { HeaderEdits(record.pointee.responseEdits) }
}
