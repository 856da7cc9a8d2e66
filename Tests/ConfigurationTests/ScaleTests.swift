import Configuration
import Glibc
import Testing

/// Tenants by the ten thousand. The bounds are those of an optimised build; an unoptimised one only shows that it can.
@Suite(.serialized) struct ScaleTests {
    static func configuration(tenants: Int) -> [UInt8] {
        var text = """
            listen 127.0.0.1:8080;
            upstream namespaces { server app.{namespace}.svc.cluster.local:80; }
            plan free { max_body 1m; weight 1; response_header Server off; }
            plan pro { max_body 100m; weight 4; feature search on; }
            defaults { plan free; upstream namespaces; set theme light; }

            """
        for number in 0..<tenants {
            text += """
                tenant customer-\(number) {
                    plan          \(number % 3 == 0 ? "pro" : "free");
                    host          customer-\(number).example.test *.customer-\(number).example.test;
                    authenticate  none;
                    namespace     tenant-\(number);
                    feature       new-billing on;
                    set           theme dark;
                    request_header X-Region eu;          # added towards the upstream
                    route /reports/ { response_timeout 120s; max_body 5m; }
                }

                """
        }
        return Array(text.utf8)
    }

    /// Processor time of this thread: what else runs on the machine does not count.
    private func measure(_ body: () -> Void) -> Duration {
        func now() -> Duration {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
        }
        let start = now()
        body()
        return now() - start
    }

    #if DEBUG
        static let sizes = [(1000, Duration.seconds(60))]
    #else
        static let sizes = [(10_000, Duration.seconds(1)), (100_000, Duration.seconds(10))]
    #endif

    @Test("many tenants are read and validated in time", arguments: sizes)
    func many(_ tenants: Int, _ bound: Duration) {
        let bytes = Self.configuration(tenants: tenants)
        var loaded: LoadedConfiguration?
        let time = measure { loaded = load(bytes) }
        print("\(tenants) tenants, \(bytes.count >> 10) KiB: \(time)")
        #expect(loaded?.settings?.hot.tenants.count == tenants)
        #expect(loaded?.renderAll() == "")
        #expect(time < bound)
    }

    @Test("a mistake in every tenant takes no longer", arguments: sizes)
    func mistakes(_ tenants: Int, _ bound: Duration) {
        let bytes = Self.configuration(tenants: tenants)
        // Every plan is unknown, with as many names to suggest from as there are tenants.
        var text = String(decoding: bytes, as: UTF8.self)
        for number in 0..<tenants { text += "plan customer-plan-\(number) { }\n" }
        text = text.split(separator: "plan          pro;", omittingEmptySubsequences: false).joined(
            separator: "plan customer-plam-1x;")
        var loaded: LoadedConfiguration?
        let time = measure { loaded = load(text) }
        print("\(tenants) tenants, a third with a mistake: \(time)")
        #expect(loaded?.diagnostics.count == min(1000, (tenants + 2) / 3))
        let rendering = measure { _ = loaded?.renderAll() }
        #expect(time < bound && rendering < .seconds(1))
    }
}
