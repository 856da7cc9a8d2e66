import Base
import HTTP
import Metrics
import Tenancy

/// Which of its tenant's routes a request is for.
extension Exchange {
    enum Finding {
        case found(Route)
        case nothing
        /// Servers read its path in different ways.
        case ambiguous
        /// Its query has more parameters than are looked at.
        case crowded

        var route: Route? { if case .found(let route) = self { route } else { nil } }
    }

    /// By its path in normal form, which goes to the upstream in that form.
    func findRoute(_ head: borrowing RequestHead, of tenant: Tenant) throws(Halt) -> Route {
        switch unsafe lookUp(head, of: tenant) {
        case .found(let route): return route
        case .nothing: throw refuse(.noRoute, "there is nothing here")
        case .ambiguous: throw refuse(.badRequest, "ambiguous path")
        case .crowded: throw refuse(.badRequest, "the query has too many parameters")
        }
    }

    /// - Parameter method: that of the request, unless it asks in the name of another one.
    func lookUp(_ head: borrowing RequestHead, of tenant: Tenant, asking method: UnsafeRawBufferPointer? = nil) -> Finding {
        if !tenant.hasOneRoute, head.target.count != head.path.count, tenant.isCrowded(head) { return .crowded }
        let path = unsafe head[head.path]
        if unsafe PathNormalizer.isNormal(path) {
            let route = unsafe tenant.route(for: path, of: head, asking: method)
            if unsafe !tenant.hasOneRoute && PathNormalizer.hasParameters(path), unsafe !isRead(path, head, tenant, method, as: route) {
                return .ambiguous
            }
            return route.map { .found($0) } ?? .nothing
        }
        request.hasNormalPath = false
        // The room for heads is free yet, and as large as any path.
        let room = unsafe worker.rooms.head
        guard let count = unsafe PathNormalizer.normalize(path, into: room) else { return .ambiguous }
        let normal = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])
        guard let route = unsafe tenant.route(for: normal, of: head, asking: method) else { return .nothing }
        if route.isStrict, unsafe PathNormalizer.hidesSeparators(normal) { return .ambiguous }
        if !tenant.hasOneRoute, unsafe !isRead(normal, head, tenant, method, as: route) { return .ambiguous }
        return .found(route)
    }

    /// Whether an upstream that reads the path in another way finds it below the same route. May overwrite the path.
    private func isRead(
        _ path: UnsafeRawBufferPointer, _ head: borrowing RequestHead, _ tenant: Tenant, _ method: UnsafeRawBufferPointer?,
        as route: Route?
    ) -> Bool {
        let room = unsafe worker.rooms.head
        let count = unsafe PathNormalizer.readLeniently(path, into: room)
        let read = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])
        return unsafe tenant.route(for: read, of: head, asking: method) == route
    }
}

extension ByteWriter {
    /// A path that its route was found by, in normal form.
    mutating func append(normal path: UnsafeRawBufferPointer) {
        guard unsafe spare.count >= path.count, let count = unsafe PathNormalizer.normalize(path, into: spare) else {
            return overflow()
        }
        produced(count)
    }
}
