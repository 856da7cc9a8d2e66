import Base
import Configuration
import Foundation
import Quotas
import Storage

@testable import HTTP
@testable import Metrics
@testable import Net
@testable import Proxy

/// What the tests of this process write to; gone at its end.
private let scratch: URL = {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("exchanges-\(UUID().uuidString)")
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(at: scratch) }
    return folder
}()

/// A worker without sockets and without a time of its own: clients and servers are scripted, names are found when the test
/// says so, and the clock moves when it is told to.
final class ScriptedWorker {
    let worker: Worker
    let registry: MetricsRegistry
    let table: MeterTable
    private let servers: Servers
    private(set) var now: UInt64

    /// What becomes of a connection that somebody wants.
    enum Dial { case connecting, refused, lack }

    /// Shared with the worker's dialer.
    final class Servers {
        var next: (ServerPool) -> Dial = { _ in .connecting }
        var dialed: [ScriptedUpstream] = []
    }

    init(_ upstreams: String, tenants: String = "tenant acme { host acme.test; upstream app; }") throws {
        let text = "listen 80; access_log off; \(upstreams) \(tenants)\n"
        let source = ConfigurationSource { _ in .success(Array(text.utf8)) }
        let loaded = ConfigurationLoader.load("gateway.conf", from: source)
        guard let settings = loaded.settings else { fatalError("\(loaded.diagnostics)") }
        table = try MeterTable(path: scratch.appendingPathComponent(UUID().uuidString).path)
        let quotas = try QuotaBook(settings.hot.tenants, table: table)
        let snapshot = Snapshot(settings.hot, quotas: quotas, servers: ServerRegistry(), tls: [nil])
        registry = MetricsRegistry(workers: 1, version: "", tenantBudget: 0, started: 0)
        let servers = Servers()
        self.servers = servers
        worker = try Worker(
            index: 0, of: WorkerGroup(count: 1), snapshot: snapshot, registry: registry,
            resolver: Self.noResolver, logWriter: AccessLogWriter()
        ) { pool, address throws(SystemError) in
            switch servers.next(pool) {
            case .connecting:
                let upstream = ScriptedUpstream(pool: pool, address: address.address)
                servers.dialed.append(upstream)
                return .other(upstream)
            case .refused: throw SystemError("connect", ECONNREFUSED)
            case .lack: return nil
            }
        }
        now = worker.loop.now
    }

    /// It begins nothing: names are found when the test says so.
    private static let noResolver = Resolver(
        LookUps.Bounds(active: 0, all: 0, reserved: 0, ofKey: 0, patience: 1 << 60)
    ) { _ in .failed("not found here") }

    var snapshot: Snapshot { worker.snapshot }

    /// Every connection that was begun, in this order.
    var dialed: [ScriptedUpstream] { servers.dialed }
    var last: ScriptedUpstream { servers.dialed.last! }

    /// Those since the last call, which are not kept any longer.
    func takeDialed() -> [ScriptedUpstream] {
        defer { servers.dialed = [] }
        return servers.dialed
    }

    /// What becomes of the next connections.
    func dials(_ next: @escaping (ServerPool) -> Dial) { servers.next = next }

    /// All that is to be done, so many milliseconds from now.
    func step(_ milliseconds: UInt64 = 0) {
        now += milliseconds * 1_000_000
        worker.loop.step(to: now)
    }

    /// The look-up of a name ends.
    func found(_ host: String, at addresses: String...) {
        for upstream in snapshot.upstreams {
            for server in upstream.servers where server.host == host {
                if !addresses.isEmpty { server.adopt(.addresses(addresses.map { SocketAddress($0, port: server.port)! })) }
                worker.resolved(server)
            }
        }
    }

    func client() -> ScriptedClient {
        ScriptedClient(worker, origin: ClientOrigin(peer: SocketAddress("127.0.0.9", port: 9)!, listener: snapshot.listeners[0]))
    }

    /// Requests of the tenant that were counted at their end.
    func counted(_ tenant: String = "acme") -> UInt64 { registry.tenant(tenant, worker: 0).requests }

    /// Requests of the tenant that hold a place of its concurrency.
    func underWay(_ tenant: String = "acme") -> UInt64 {
        let quota = worker.view.quotas[snapshot.directory.tenant(id: tenant)!.index]
        return quota.meter.inFlight
    }
}

extension Worker {
    /// Calls `body` with the bytes in a room of the loop, as one read brings them.
    func reading(_ text: [UInt8], _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        let room = rooms.inbox(limit: text.count)
        room.copyBytes(from: text)
        body(room)
    }
}
