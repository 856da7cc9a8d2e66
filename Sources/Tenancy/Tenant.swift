import Base
import Configuration
import Crypto

/// A tenant as the request path sees it: everything that can be computed ahead is. A handle to a record of its
/// `Directory`, good as long as that lives: copying it counts no reference.
public struct Tenant: Sendable, Equatable {
    /// 64 bytes, and so one line of the processor's cache.
    struct Record {
        var identityFields: UnsafeRawBufferPointer
        var routes: UnsafePointer<Route.Record>
        var routeCount: Int32
        var index: Int32
        var firstKey: Int32
        var weight: Int32
        var examined: CredentialSet
        var suspended: Bool
        var wantsCertificate: Bool
        var settings: UnsafePointer<TenantSettings>
        var responseEdits: UnsafePointer<HeaderEdits.Record>
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

    /// Of answers that no route was looked up for.
    public var responseEdits: HeaderEdits { HeaderEdits(record.pointee.responseEdits) }

    /// All paths get the same.
    @inline(__always)
    public var hasOneRoute: Bool { record.pointee.routeCount == 1 }

    /// The route with the longest path that is a prefix of whole segments of `path` (normalised).
    public func route(for path: UnsafeRawBufferPointer) -> Route {
        let last = Int(record.pointee.routeCount) - 1
        for number in 0..<last {
            let route = Route(record.pointee.routes + number)
            if route.matches(path) { return route }
        }
        return Route(record.pointee.routes + last)
    }

    /// Header lines towards the upstream.
    static func identityFields(of settings: TenantSettings) -> [UInt8] {
        var fields = "X-Tenant-Id: \(settings.id)\r\nX-Tenant-Namespace: \(settings.namespace)\r\n"
        if let plan = settings.plan { fields += "X-Tenant-Plan: \(plan)\r\n" }
        if !settings.features.isEmpty { fields += "X-Tenant-Features: \(settings.features.joined(separator: ","))\r\n" }
        return Array(fields.utf8)
    }
}
