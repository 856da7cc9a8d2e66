import Testing

@testable import Metrics

@Suite("the registry and its text")
struct RegistryTests {
    private func registry(workers: Int = 2, budget: Int = 1000) -> MetricsRegistry {
        MetricsRegistry(workers: workers, version: "1.2.3", tenantBudget: budget, started: 1_700_000_000_500_000_000) {
            var process = ProcessStatistics()
            process.cpuTime = 1_230_000_000
            process.residentMemory = 4096
            process.virtualMemory = 8192
            process.openDescriptors = 12
            process.maxDescriptors = 1024
            process.startTime = 1_699_999_999_250_000_000
            process.threads = 4
            return process
        }
    }

    private func text(_ registry: MetricsRegistry, _ format: TextFormat = .prometheus) -> String {
        String(decoding: registry.render(format), as: UTF8.self)
    }

    /// The samples whose line starts with `start`, in order.
    private func lines(_ registry: MetricsRegistry, _ start: String) -> [String] {
        text(registry).split(separator: "\n").map(String.init).filter { $0.hasPrefix(start) }
    }

    private func fill(_ registry: MetricsRegistry) {
        let acme = registry.tenant("acme", worker: 0)
        acme.finished(code: 200, nanoseconds: 5_000_000)
        acme.finished(code: 404, nanoseconds: 5_000_001)
        acme.received(bytes: 10)
        acme.sent(bytes: 20)
        registry.tenant("acme", worker: 1).finished(code: 200, nanoseconds: 11_000_000_000)
        registry.tenant("acme", worker: 1).sent(bytes: 5)
        registry.tenant("acme", worker: 1).refused(.badUpstream)
        registry.worker(0).unattributed.finished(code: 421, nanoseconds: 1)
        registry.worker(0).unattributed.refused(.misdirected)
        registry.worker(0).overhead(nanoseconds: 12_000)
        registry.worker(1).overhead(nanoseconds: 100_000_001)
        registry.worker(0).handshake(.v1_3, resumed: true, .success)
        registry.worker(1).handshake(.v1_3, resumed: true, .success)
        registry.worker(1).handshake(.none, resumed: false, .failure)
        registry.worker(0).logDropped.add(3)
        registry.worker(0).lingered(.whole)
        registry.worker(1).lingered(.whole)
        registry.worker(0).lingered(.time)
        registry.worker(1).lingeredBytes.add(70_000)
        let listener = registry.listener("127.0.0.1:8443", worker: 0)
        for _ in 0..<4 { listener.opened() }
        listener.requestBegan()
        listener.requestBegan()
        listener.requestEnded()
        listener.closed(active: false)
        registry.listener("127.0.0.1:8443", worker: 1).opened()
        registry.upstream("api", worker: 0).finished(nanoseconds: 30_000_000)
        for _ in 0..<4 { registry.server("127.0.0.1:9101", of: "api", worker: 1).connections.opened() }
        registry.server("127.0.0.1:9101", of: "api", worker: 1).connections.closed()
        registry.server("127.0.0.1:9101", of: "api", worker: 1).connections.set(idle: 1)
        registry.upstream("api", worker: 1).queued()
        for worker in 0...1 { registry.upstream("api", worker: worker).retried(.ok) }
        registry.upstream("api", worker: 0).retried(.budget)
        registry.upstream("api", worker: 0).queued()
        registry.upstream("api", worker: 0).leftQueue(after: 4_000_000)
        registry.server("127.0.0.1:9101", of: "api", worker: 0).finished(code: 502)
        registry.server("127.0.0.1:9101", of: "api", worker: 1).finished(code: 200)
        registry.setHealthy(true, server: "127.0.0.1:9101", of: "api")
        registry.setHealthy(false, server: "127.0.0.1:9102", of: "api")
        registry.reloaded(successfully: false, at: 1)
        registry.setReady(true)
        registry.setQuotas { tenant in
            tenant == "acme" ? [QuotaReading(policy: "quota-hour", limit: 100, used: 7)] : []
        }
    }

    @Test("Prometheus text 0.0.4, to the byte")
    func prometheus() {
        let registry = registry()
        fill(registry)
        #expect(text(registry) == Self.prometheusText)
    }

    @Test("OpenMetrics text 1.0.0, to the byte")
    func openMetrics() {
        let registry = registry()
        fill(registry)
        #expect(text(registry, .openMetrics) == Self.openMetricsText)
    }

    @Test("the same object is given for the same key, and another for another worker")
    func identity() {
        let registry = registry()
        #expect(registry.tenant("a", worker: 0) === registry.tenant("a", worker: 0))
        #expect(registry.tenant("a", worker: 0) !== registry.tenant("a", worker: 1))
        #expect(registry.tenant("a", worker: 0) !== registry.tenant("b", worker: 0))
        _ = registry.render(.prometheus)
        #expect(registry.tenant("a", worker: 0) === registry.tenant("a", worker: 0))
    }

    @Test("hostile names stay inside their label")
    func escaping() {
        let registry = registry(workers: 1)
        registry.tenant("a\"b\\c\nd} 1\ré", worker: 0).finished(code: 200, nanoseconds: 1)
        registry.server("s\n\"", of: "u\\", worker: 0).finished(code: 200)
        #expect(lines(registry, "gateway_requests_total{") == [#"gateway_requests_total{tenant="a\"b\\c\nd} 1\#ré",code="200"} 1"#])
        #expect(lines(registry, "gateway_upstream_requests") == [#"gateway_upstream_requests_total{upstream="u\\",server="s\n\"",code="200"} 1"#])
    }

    @Test("the busiest get the names, the rest is summed as _other and keeps being so")
    func budget() {
        let registry = registry(workers: 2, budget: 2)
        for (id, requests) in [("a", 1), ("b", 3), ("c", 2), ("d", 1)] {
            for i in 0..<requests { registry.tenant(id, worker: i % 2).finished(code: 200, nanoseconds: 1_000_000_000) }
        }
        #expect(
            lines(registry, "gateway_requests_total") == [
                #"gateway_requests_total{tenant="b",code="200"} 3"#,
                #"gateway_requests_total{tenant="c",code="200"} 2"#,
                #"gateway_requests_total{tenant="_other",code="200"} 2"#,
            ])
        // a is the busiest now, and e is new: both stay with the others, on a new worker too.
        for _ in 0..<10 { registry.tenant("a", worker: 1).finished(code: 500, nanoseconds: 1) }
        registry.tenant("e", worker: 0).finished(code: 200, nanoseconds: 1)
        registry.tenant("c", worker: 1).finished(code: 200, nanoseconds: 1)
        #expect(
            lines(registry, "gateway_requests_total") == [
                #"gateway_requests_total{tenant="b",code="200"} 3"#,
                #"gateway_requests_total{tenant="c",code="200"} 3"#,
                #"gateway_requests_total{tenant="_other",code="200"} 3"#,
                #"gateway_requests_total{tenant="_other",code="500"} 10"#,
            ])
        // More places: for those who come now.
        registry.setTenantBudget(3)
        registry.tenant("f", worker: 0).finished(code: 200, nanoseconds: 1)
        registry.tenant("a", worker: 0).finished(code: 500, nanoseconds: 1)
        #expect(
            lines(registry, "gateway_requests_total").suffix(3) == [
                #"gateway_requests_total{tenant="f",code="200"} 1"#,
                #"gateway_requests_total{tenant="_other",code="200"} 3"#,
                #"gateway_requests_total{tenant="_other",code="500"} 11"#,
            ])
        #expect(lines(registry, #"gateway_request_duration_seconds_count{tenant="_other"}"#).first?.hasSuffix(" 14") == true)
    }

    @Test("a tenant whose id is one of our own labels never makes a second series of it", arguments: ["_other", ""])
    func reserved(_ id: String) {
        let registry = registry(workers: 1)
        registry.tenant(id, worker: 0).finished(code: 200, nanoseconds: 1)
        #expect(lines(registry, "gateway_requests_total") == [#"gateway_requests_total{tenant="_other",code="200"} 1"#])
        #expect(lines(registry, #"gateway_request_bytes_total{tenant="_other"}"#).count == 1)
    }

    @Test("sums larger than 64 bits of nanoseconds are exact")
    func wideSums() {
        let registry = registry(workers: 2, budget: 0)
        for worker in 0..<2 { registry.tenant("a", worker: worker).finished(code: 200, nanoseconds: .max) }
        // 2 x (2^64 - 1) nanoseconds.
        #expect(
            lines(registry, "gateway_request_duration_seconds_sum{tenant=\"_other\"}")
                == [#"gateway_request_duration_seconds_sum{tenant="_other"} 36893488147.41910323"#])
    }

    @Test("health of removed servers is forgotten")
    func health() {
        let registry = registry()
        registry.setHealthy(true, server: "x", of: "u")
        registry.setHealthy(true, server: "y", of: "u")
        registry.keepHealth(of: [ServerMetrics.Key(upstream: "u", server: "y")])
        #expect(lines(registry, "gateway_upstream_healthy") == [#"gateway_upstream_healthy{upstream="u",server="y"} 1"#])
    }

    @Test("a reload that works moves the timestamp, one that fails does not")
    func reloads() {
        let registry = registry()
        registry.reloaded(successfully: true, at: 1_800_000_000_000_000_000)
        registry.reloaded(successfully: false, at: 1_900_000_000_000_000_000)
        #expect(
            lines(registry, "gateway_config") == [
                #"gateway_config_reloads_total{result="success"} 1"#,
                #"gateway_config_reloads_total{result="failure"} 1"#,
                "gateway_config_last_reload_successful 0",
                "gateway_config_last_reload_success_timestamp_seconds 1800000000",
            ])
    }
}
