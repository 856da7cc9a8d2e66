import Base
import Glibc
import Quotas
import Tenancy

/// A worker's hold on one configuration, with what it has made for it. Requests hold on to this and not to the snapshot:
/// references are then counted in memory that no other loop touches, and everything that they look at lives as long.
@safe final class WorkerView {
    let snapshot: Snapshot
    /// The snapshot's own.
    let directory: Directory
    let quotas: QuotaBook
    /// Counts the configurations that were adopted.
    let number: Int
    /// By the index of the upstream; nil until its first request. Kept here too: of an upstream that a later configuration
    /// has no more, requests of this one are served to their end.
    private var balancers: [Balancer?]
    /// By the index of the tenant, which is compared with the count; kept by the worker; nil until its first request.
    private let tenants: UnsafeMutablePointer<Uncounted<TenantState>?>
    private let tenantCount: Int

    init(_ snapshot: Snapshot, number: Int) {
        (self.snapshot, self.number) = (snapshot, number)
        (directory, quotas) = (snapshot.directory, snapshot.quotas)
        balancers = Array(repeating: nil, count: snapshot.upstreams.count)
        tenantCount = snapshot.directory.tenants.count
        // Zeroes that the kernel gives when they are first looked at: a reload must not hold the loop up. A reference that is
        // not counted is an address, and zero is none.
        let room = unsafe calloc(max(tenantCount, 1), MemoryLayout<Uncounted<TenantState>?>.stride)!
        unsafe tenants = room.bindMemory(to: Uncounted<TenantState>?.self, capacity: max(tenantCount, 1))
    }

    deinit { unsafe free(tenants) }

    func state(of tenant: Tenant) -> Uncounted<TenantState>? {
        precondition(tenant.index < tenantCount)
        return unsafe tenants[tenant.index]
    }

    func keep(_ state: TenantState, of tenant: Tenant) {
        precondition(tenant.index < tenantCount)
        unsafe tenants[tenant.index] = Uncounted(state)
    }

    func balancer(forUpstream number: Int) -> Uncounted<Balancer>? {
        // Kept in the array.
        balancers[number].map { unsafe Uncounted($0) }
    }

    func keep(_ balancer: Balancer, forUpstream number: Int) { balancers[number] = balancer }

    // With tens of thousands of tenants next to nothing of one is in the processor's caches when its request comes. All of
    // it is asked for at once, as soon as it is known whose the request is, instead of piece by piece: first what the
    // index leads to, then what that leads to.

    @inline(__always)
    func prefetch(_ tenant: Int) {
        directory.prefetch(tenant)
        quotas.prefetch(tenant)
        // An address that is not followed.
        unsafe Base.prefetch(tenants + tenant, lines: 1)
    }

    @inline(__always)
    func prefetch(_ tenant: Tenant, key: Int?) {
        if let state = state(of: tenant) { state.prefetch(lines: 2) }
        quotas[tenant.index].prefetch(key: key)
        unsafe Base.prefetch(tenant.identityFields.baseAddress, lines: 2)
    }
}
