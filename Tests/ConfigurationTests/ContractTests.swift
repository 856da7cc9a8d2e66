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

    @Test("without that, it is refused for exactly the directives that nothing acts on yet")
    func refused() {
        let loaded = load(bytes)
        #expect(loaded.settings == nil)
        let said = loaded.diagnostics.map { "\($0.location.line) \($0.message)" }
        var expected: [String] = []
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        var inJWT = false
        for (number, line) in lines.enumerated() {
            let words = line.split(whereSeparator: { $0 == " " || $0 == ";" })
            guard let first = words.first.map(String.init) else { continue }
            if first == "}" { inJWT = false }
            if inJWT { continue }
            if first == "jwt", line.hasSuffix("{") { inJWT = true }
            if ["shared_host", "rate", "concurrency", "quota", "bandwidth", "jwt", "key"].contains(first) {
                expected.append("\(number + 1) `\(first)` is not supported yet")
            } else if first == "authenticate", words[1] != "none" {
                expected.append("\(number + 1) `authenticate api_key` is not supported yet")
            } else if line.contains(" rate ") {
                expected.append("\(number + 1) `rate` is not supported yet")
            }
        }
        #expect(said == expected)
        #expect(expected.count > 10)
    }
}
