import Configuration

/// A directory's tenants by their index, side by side in its memory.
public struct Tenants: RandomAccessCollection, @unchecked Sendable {
    let records: UnsafeMutablePointer<Tenant.Record>
    let settings: UnsafeMutablePointer<TenantSettings>
    public let count: Int

    init(_ settings: [TenantSettings], records: UnsafeMutablePointer<Tenant.Record>) {
        self.records = records
        count = settings.count
        self.settings = .allocate(capacity: Swift.max(count, 1))
        self.settings.initialize(from: settings, count: count)
    }

    /// Called by the directory at its end.
    func deallocate() {
        settings.deinitialize(count: count)
        settings.deallocate()
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { count }

    @inline(__always)
    public subscript(index: Int) -> Tenant {
        precondition(index >= 0 && index < count)
        return Tenant(records + index)
    }
}
