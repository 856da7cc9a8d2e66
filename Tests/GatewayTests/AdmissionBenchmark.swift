import Base
import Configuration
import Crypto
import Foundation
import Quotas
import Storage
import TestSupport
import Testing

@testable import Tenancy

/// Figures, not verdicts: `GATEWAY_BENCHMARKS=1 swift test -c release -Xswiftc -enable-testing --filter Benchmark`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["GATEWAY_BENCHMARKS"] != nil))
struct AdmissionBenchmark {
    @Test("whose a request is and whether it may: 100,000 tenants, each with a key, a rate and a quota")
    func admission() throws {
        let count = 100_000
        let keys = (0..<count).map { Array("key-of-\($0)".utf8) }
        var text = "listen 80; shared_host api.test; upstream app { server 10.0.0.1:80; }\n"
        text += "plan basic { rate 1000000/s burst=100000; quota 1000000000/month; } defaults { plan basic; upstream app; }\n"
        for (number, key) in keys.enumerated() {
            text += "tenant t\(number) { authenticate api_key; key sha256:\(SHA256.digest(key).hexadecimal) name=k; }\n"
        }
        let source = ConfigurationSource { [text] _ in .success(Array(text.utf8)) }
        let settings = try #require(ConfigurationLoader.load("x", from: source).settings).hot.tenants
        let table = try MeterTable(path: freshPath())
        let directory = Directory(settings) { index, _ in index }
        let quotas = try QuotaBook(settings, table: table)
        let resolver = IdentityResolver()
        var enforcer = QuotaEnforcer(table: table, wall: Clock.wall())
        // In an order that no cache knows.
        let order = (0..<count).map { $0 &* 61_169 % count }

        var admissions: [Admission] = []
        admissions.reserveCapacity(count)
        func admit(_ number: Int) {
            let wall = Clock.wall()
            keys[number].withUnsafeBytes { key in
                var presented = PresentedCredentials()
                presented.key = key
                let verdict = resolver.resolve(
                    host: nil, server: nil, &presented, in: directory, now: Int64(wall / 1_000_000_000),
                    probable: {
                        directory.prefetch($0)
                        quotas.prefetch($0)
                    })
                guard case .identified(let identity) = verdict else { return }
                let quota = quotas[identity.tenant.index]
                quota.prefetch(key: identity.key)
                var asked = quota.admission(key: identity.key, route: nil)
                if enforcer.reserve(&asked, monotonic: Clock.monotonic(), wall: wall).isAdmitted { admissions.append(asked) }
            }
        }
        func settle(_ number: Int) {
            let outcome = Outcome(status: 200, wasForwarded: true, isOwnAnswer: false, responseBytes: 1024)
            enforcer.settle(&admissions[number], outcome, monotonic: Clock.monotonic())
        }

        // Pages that were never touched are the kernel's work.
        order.forEach(admit)
        order.indices.forEach(settle)
        admissions.removeAll(keepingCapacity: true)
        let admission = nanoseconds { order.forEach(admit) } / UInt64(count)
        let settlement = nanoseconds { order.indices.forEach(settle) } / UInt64(count)
        #expect(admissions.count == count)
        print("resolve and reserve: \(admission) ns; settle: \(settlement) ns")
    }

    /// Processor time of this thread: what else runs on the machine does not count.
    private func nanoseconds(_ body: () -> Void) -> UInt64 {
        func now() -> UInt64 {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        }
        let began = now()
        body()
        return now() - began
    }
}
