import Synchronization
import Testing

@testable import Metrics

/// How many writers are not done yet.
private final class Running: Sendable {
    let count: Atomic<Int>
    init(_ count: Int) { self.count = Atomic(count) }
}

@Suite("one writer a worker, one reader")
struct ConcurrencyTests {
    @Test("no count is lost, none ever falls, and every rendering is well formed")
    func writersAndReader() async {
        let (workers, rounds, tenants) = (2, 20_000, 50)
        let registry = MetricsRegistry(workers: workers, version: "1", tenantBudget: 10, started: 0)
        let running = Running(workers)
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<workers {
                group.addTask {
                    let own = registry.worker(worker)
                    let listener = registry.listener("l", worker: worker)
                    for round in 0..<rounds {
                        let tenant = registry.tenant("t\(round % tenants)", worker: worker)
                        listener.opened()
                        listener.requestBegan()
                        // Every code there is, so that the table grows while it is read.
                        tenant.finished(code: 100 + round % 500, nanoseconds: UInt64(round) * 1000)
                        tenant.sent(bytes: 3)
                        if round % 3 == 0 { tenant.refused(Refusal(rawValue: UInt8(round % 17))!) }
                        own.overhead(nanoseconds: 5)
                        listener.closed(active: true)
                    }
                    running.count.subtract(1, ordering: .releasing)
                }
            }
            group.addTask {
                var last: [Substring: UInt64] = [:]
                var isLast = false
                repeat {
                    isLast = running.count.load(ordering: .acquiring) == 0
                    let text = String(decoding: registry.render(isLast ? .openMetrics : .prometheus), as: UTF8.self)
                    for line in text.split(separator: "\n") where line.hasPrefix("gateway_re") {
                        let space = line.lastIndex(of: " ")!
                        guard let value = UInt64(line[line.index(after: space)...]) else { continue }
                        // Buckets are sums over cells that are read one after the other; each cell never falls.
                        #expect(value >= last[line[..<space]] ?? 0, "\(line)")
                        last[line[..<space]] = value
                    }
                } while !isLast
            }
        }
        let text = String(decoding: registry.render(.prometheus), as: UTF8.self)
        func total(_ family: String) -> UInt64 {
            text.split(separator: "\n").filter { $0.hasPrefix(family) }
                .reduce(0) { $0 + (UInt64($1.split(separator: " ").last!) ?? 0) }
        }
        #expect(total("gateway_requests_total{") == UInt64(workers * rounds))
        #expect(total("gateway_request_duration_seconds_count{") == UInt64(workers * rounds))
        #expect(total("gateway_response_bytes_total{") == UInt64(3 * workers * rounds))
        #expect(total("gateway_refused_total{") == UInt64(workers * ((rounds + 2) / 3)))
        #expect(total("gateway_overhead_seconds_count") == UInt64(workers * rounds))
        #expect(total("gateway_connections{") == 0)
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("gateway_request_bytes_total{") }.count == 12)
    }
}
