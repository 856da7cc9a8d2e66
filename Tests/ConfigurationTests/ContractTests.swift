import Configuration
import Foundation
import Testing

@Suite struct ContractTests {
    private let bytes = (try? [UInt8](Data(contentsOf: casesFolder.appendingPathComponent("contract.conf")))) ?? []

    @Test("the contract's file is accepted as it stands while unsupported directives are allowed")
    func accepted() throws {
        let loaded = load(bytes, allowUnsupported: true)
        #expect(loaded.renderAll() == "")
        let hot = try #require(loaded.settings).hot
        #expect(hot.tenants.map(\.id) == ["acme", "globex"])
        #expect(hot.tenants[0].hosts == ["acme.example.test", "*.acme.example.test"])
        #expect(hot.tenants[0].maxBody == 100 << 20 && hot.tenants[0].weight == 4)
        #expect(hot.tenants[0].features == ["new-billing"])
        #expect(hot.tenants[0].settings.map(\.value) == ["dark"])
        #expect(hot.tenants[0].routes.map(\.responseTimeout) == [120_000_000_000])
        #expect(hot.tenants[1].plan == "free" && hot.tenants[1].maxBody == 1 << 20)
        #expect(hot.tenants[1].upstream.map { hot.upstreams[$0].isTemplate } == true)
        #expect(hot.tenants[1].responseHeaders.map(\.value) == ["max-age=31536000", nil])
        #expect(hot.listeners.count == 2 && hot.listeners[0].tls?.certificates.count == 2)
    }

    @Test("all that it says is acted on")
    func supported() {
        let loaded = load(bytes)
        #expect(loaded.diagnostics.filter { $0.severity == .error }.map(\.message) == [])
        #expect(loaded.settings != nil)
    }

    @Test("limits of a plan reach its tenants, and a tenant's own and a route's take their places")
    func limits() throws {
        let acme = try #require(load(bytes).settings).hot.tenants[0]
        #expect(acme.usage.rates == [RateSettings(count: 800, period: .second, burst: 1600)])
        #expect(acme.usage.quotas.map(\.count) == [50000, 10_000_000])
        #expect(acme.usage.concurrency == ConcurrencySettings(count: 200))
        #expect(acme.usage.bandwidth == BandwidthSettings(rate: 20 << 20, burst: 20 << 20))
        #expect(acme.routes[0].usage.rates == [RateSettings(count: 5, period: .second, burst: 5)])
        #expect(acme.routes[0].usage.quotas.isEmpty)
    }
}
