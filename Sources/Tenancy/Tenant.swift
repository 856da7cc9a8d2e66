import Base
import Configuration
import Crypto
import HTTP

/// A tenant as the request path sees it: everything that can be computed ahead is. A handle to a record of its
/// `Directory`, good as long as that lives: copying it counts no reference.
public struct Tenant: Sendable, Equatable {
    /// 64 bytes, and so one line of the processor's cache.
    struct Record {
        var identityFields: UnsafeRawBufferPointer
        /// nil: what none of the routes is about is not there.
        var fallback: UnsafePointer<Route.Record>?
        /// nil: all paths get the same.
        var routes: UnsafePointer<RouteTable.Record>?
        var index: Int32
        var firstKey: Int32
        var weight: Int32
        var examined: CredentialSet
        var suspended: Bool
        var wantsCertificate: Bool
        var hasDoor: Bool
        var settings: UnsafePointer<TenantSettings>
        var unmatched: UnsafePointer<Route.Record>
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    @inline(__always)
    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// Position in its directory.
    @inline(__always)
    public var index: Int { Int(record.pointee.index) }
    /// The settings it was made from: a reload compares them.
    public var settings: TenantSettings {
        _read { yield record.pointee.settings.pointee }
    }
    public var id: String { record.pointee.settings.pointee.id }
    public var namespace: String { record.pointee.settings.pointee.namespace }
    public var plan: String? { record.pointee.settings.pointee.plan }
    @inline(__always)
    public var suspended: Bool { record.pointee.suspended }
    public var weight: Int { Int(record.pointee.weight) }
    /// `X-Tenant-Id: ...` and its siblings, as header lines towards the upstream.
    @inline(__always)
    public var identityFields: UnsafeRawBufferPointer { record.pointee.identityFields }
    /// What is looked for in its requests: what the tenant or one of its routes asks for. Empty: `Authorization` and
    /// `X-API-Key` are its application's.
    @inline(__always)
    public var examined: CredentialSet { record.pointee.examined }
    /// The place of its first key in the directory's table.
    @inline(__always)
    public var firstKey: Int { Int(record.pointee.firstKey) }
    /// Its requests must come with a client certificate.
    @inline(__always)
    public var wantsCertificate: Bool { record.pointee.wantsCertificate }

    /// On one of its paths something is looked at before credentials.
    @inline(__always)
    public var hasDoor: Bool { record.pointee.hasDoor }

    /// What holds for answers that no route was looked up for, and where none is.
    public var unmatched: Route { Route(record.pointee.unmatched) }

    /// All paths get the same.
    @inline(__always)
    public var hasOneRoute: Bool { record.pointee.routes == nil }

    /// The route that is for a request: of its own ones, else of its plan's, else of those of `defaults`; else what no route is
    /// about, and nil where there is no such thing.
    /// - Parameters:
    ///   - path: normalised.
    ///   - method: that of the request, unless it asks in the name of another one.
    @inline(__always)
    public func route(
        for path: UnsafeRawBufferPointer, of head: borrowing RequestHead, asking method: UnsafeRawBufferPointer? = nil
    ) -> Route? {
        if record.pointee.routes != nil, let found = found(path, head, method) { return found }
        return fallback
    }

    /// Whether its routes ask for parameters of the query, and the request has more of them than are looked at.
    public func isCrowded(_ head: borrowing RequestHead) -> Bool {
        guard RequestConditions.isCrowded(head) else { return false }
        var table = record.pointee.routes
        while let one = table {
            if one.pointee.asksForParameters { return true }
            table = one.pointee.next
        }
        return false
    }

    /// What no route is about; nil where that is not there.
    @inline(__always)
    var fallback: Route? { record.pointee.fallback.map(Route.init) }

    private func found(
        _ path: UnsafeRawBufferPointer, _ head: borrowing RequestHead, _ method: UnsafeRawBufferPointer?
    ) -> Route? {
        let method = method ?? head[head.methodRange]
        var table = record.pointee.routes
        while let one = table {
            if let route = RouteTable(record: one).find(path, head, method) { return Route(route) }
            table = one.pointee.next
        }
        return nil
    }

    /// Header lines towards the upstream.
    static func identityFields(of settings: TenantSettings) -> [UInt8] {
        var fields = "X-Tenant-Id: \(settings.id)\r\nX-Tenant-Namespace: \(settings.namespace)\r\n"
        if let plan = settings.plan { fields += "X-Tenant-Plan: \(plan)\r\n" }
        if !settings.features.isEmpty { fields += "X-Tenant-Features: \(settings.features.joined(separator: ","))\r\n" }
        return Array(fields.utf8)
    }
}
